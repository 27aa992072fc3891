use super::*;

pub(in crate::backup) fn header() -> Header {
    let location = RepositoryLocation {
        endpoint: None,
        bucket: "backups".to_owned(),
        prefix: "nas/".to_owned(),
    };
    let settings = StreamSettings {
        part_bytes: 10,
        chunk_bytes: 100,
        storage_class: "STANDARD".to_owned(),
        sse: "none".to_owned(),
        form: "plain".to_owned(),
    };
    let run = RunId::random().expect("a run");
    let snapshot = "data__20260101T000000Z__full".to_owned();
    Header { version: VERSION, location, snapshot, run, base: None, settings }
}

fn begun(chunk: u64, id: &str) -> JournalLine {
    JournalLine::Begun { chunk, upload_id: id.to_owned() }
}

fn part(chunk: u64, number: i32, len: u64) -> JournalLine {
    let sha256 = Sha256Digest::of(&number.to_le_bytes());
    JournalLine::Part { chunk, number, len, sha256, etag: format!("\"{number}\"") }
}

fn completed(chunk: u64, bytes: u64) -> JournalLine {
    JournalLine::Completed { chunk, etag: "\"whole\"".to_owned(), bytes }
}

fn text(lines: &[JournalLine]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        encode(line, &mut text);
    }
    text
}

fn read(text: &[u8]) -> Result<Journal, UnusableJournal> {
    parse(text, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_journal_is_read_as_it_was_written() {
    let header = header();
    let identity = SnapshotIdentity { uuid: "u".to_owned(), ctransid: 7 };
    let lines = [
        JournalLine::Header(header.clone()),
        JournalLine::Snapshot(identity.clone()),
        begun(0, "one"),
        part(0, 2, 10),
        part(0, 1, 10),
        completed(0, 20),
        completed(1, 5),
        begun(2, "two"),
        part(2, 1, 10),
    ];
    let text = text(&lines);

    let journal = read(&text).unwrap();

    assert_eq!((journal.header, journal.identity), (header, Some(identity)));
    assert_eq!(journal.acknowledged_bytes, 35);
    assert_eq!(journal.good_bytes, text.len() as u64);
    let known = journal.known;
    assert_eq!(known.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(known[&0].upload_id.as_deref(), Some("one"));
    assert_eq!(known[&0].parts.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(known[&0].etag.as_deref(), Some("\"whole\""));
    assert_eq!((known[&1].parts.len(), &known[&1].upload_id), (0, &None));
    assert_eq!(known[&2].etag, None);
}

#[test]
fn later_lines_override_earlier_ones() {
    let (b, p, c) = (begun, part, completed);
    let f = |chunk| JournalLine::Forgotten { chunk };
    #[rustfmt::skip]
    let cases = [
        // situation            lines                                            bytes chunks
        ("nothing",             vec![],                                          0,    vec![]),
        ("upload restarted",    vec![b(0, "x"), p(0, 1, 10), b(0, "y")],         0,    vec![0]),
        ("a part sent twice",   vec![b(0, "x"), p(0, 1, 10), p(0, 1, 7)],        7,    vec![0]),
        ("completed twice",     vec![b(0, "x"), p(0, 1, 10), c(0, 10), c(0, 10)], 10,  vec![0]),
        ("all forgotten",       vec![b(0, "x"), p(0, 1, 10), f(0)],              0,    vec![]),
        ("the rest forgotten",  vec![b(0, "x"), p(0, 1, 10), b(1, "y"), p(1, 1, 9), f(1)], 10, vec![0]),
    ];
    for (situation, lines, bytes, chunks) in cases {
        let lines: Vec<_> = std::iter::once(JournalLine::Header(header())).chain(lines).collect();
        let journal = read(&text(&lines)).unwrap();
        let got = journal.known.keys().copied().collect::<Vec<_>>();
        assert_eq!((journal.acknowledged_bytes, got), (bytes, chunks), "{situation}");
    }
}

#[test]
fn a_truncated_journal_is_read_up_to_its_last_whole_line() {
    let lines = [JournalLine::Header(header()), begun(0, "x"), part(0, 1, 10), part(0, 2, 10)];
    let whole = text(&lines);
    let ends: Vec<_> = (1..=lines.len()).map(|count| text(&lines[..count]).len()).collect();
    for len in 0..=whole.len() {
        let right = ends.iter().filter(|end| **end <= len).count();

        let journal = read(&whole[..len]);

        match right {
            0 => assert!(matches!(journal, Err(UnusableJournal::NoHeader { .. })), "{len}"),
            _ => assert_eq!(journal.unwrap().good_bytes as usize, ends[right - 1], "{len}"),
        }
    }
}

#[test]
fn a_damaged_byte_ends_the_reading_there() {
    let lines = [JournalLine::Header(header()), begun(0, "x"), part(0, 1, 10)];
    let whole = text(&lines);
    let begins = text(&lines[..2]).len();
    for at in begins..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;

        let journal = read(&damaged).unwrap();

        assert_eq!(journal.good_bytes as usize, begins, "{at}");
        assert_eq!(journal.acknowledged_bytes, 0, "{at}");
    }
}

#[test]
fn garbage_is_refused() {
    for garbage in [&b""[..], b"\n", b"{}", &[0xff; 300_000]] {
        assert!(matches!(read(garbage), Err(UnusableJournal::NoHeader { .. })));
    }
    assert!(matches!(read(&text(&[begun(0, "x")])), Err(UnusableJournal::NoHeader { .. })));
    let other = Header { version: VERSION + 1, ..header() };
    assert!(matches!(
        read(&text(&[JournalLine::Header(other)])),
        Err(UnusableJournal::NoHeader { .. })
    ));
}

proptest::proptest! {
    #[test]
    fn no_content_makes_the_reader_panic(
        mut text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        edits in proptest::collection::vec((0usize..600, proptest::prelude::any::<u8>()), 0..4),
    ) {
        read(&text).ok();
        let mut edited = self::text(&[JournalLine::Header(header()), begun(0, "x"), part(0, 1, 10)]);
        for (at, byte) in edits {
            if let Some(changed) = edited.get_mut(at) {
                *changed = byte;
            }
        }
        edited.append(&mut text);
        if let Ok(journal) = read(&edited) {
            assert!(journal.good_bytes <= edited.len() as u64);
        }
    }
}
