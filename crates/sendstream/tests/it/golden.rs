//! Streams of the real `btrfs send` (made by `testdata/make`). Each is compared
//! with the output of `btrfs subvolume show` and `btrfs receive --dump`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use btrfs_sendstream::{Attribute, CommandKind, Defect, Protocol, Verifier};
use jiff::Timestamp;

use crate::{ReadCommand, verdict, verify};

#[test]
fn golden_streams_are_valid_and_have_the_recorded_summary() {
    let streams = golden_streams();
    assert!(streams.len() >= 9, "found {}", streams.len());

    for (path, stream) in streams {
        let shown = path.display();
        let (commands, verdict) = verify([&stream[..]]);
        let summary = verdict.unwrap_or_else(|err| panic!("{shown}: {err}"));

        let parent = summary.snapshot.parent;
        let mut found = BTreeMap::from([
            ("protocol", summary.protocol.to_string()),
            ("name", String::from_utf8(summary.snapshot.name.clone()).unwrap()),
            ("uuid", summary.snapshot.uuid.to_string()),
            ("ctransid", summary.snapshot.ctransid.to_string()),
            ("total_bytes", summary.total_bytes.to_string()),
        ]);
        if let Some(parent) = parent {
            found.insert("parent_uuid", parent.uuid.to_string());
            found.insert("parent_ctransid", parent.ctransid.to_string());
        }
        let recorded = text(&path.with_extension("facts"));
        let recorded: BTreeMap<_, _> =
            recorded.lines().filter_map(|line| line.split_once('=')).collect();
        assert!(found.iter().map(|(key, value)| (*key, value.as_str())).eq(recorded), "{shown}");
        assert_eq!(summary.snapshot.is_incremental(), parent.is_some());
        assert_eq!(summary.command_count, commands.len() as u64);
    }
}

#[test]
fn golden_streams_have_the_commands_that_btrfs_receive_dumps() {
    for (path, stream) in golden_streams() {
        let commands = verify([&stream[..]]).0;
        let name = verdict(&stream).expect("a golden stream is whole").snapshot.name;
        let dump = text(&path.with_extension("dump"));
        let theirs: Vec<_> = dump.lines().map(dumped_line).collect();

        let (end, others) = commands.split_last().expect("END at least");
        assert_eq!(end.kind, CommandKind::End, "which the dump leaves out");
        let ours: Vec<_> = others.iter().map(|command| our_line(&name, command)).collect();
        assert_eq!(ours, theirs, "{}", path.display());
    }
}

#[test]
fn the_root_times_are_the_last_ones_that_btrfs_receive_dumps() {
    for (path, stream) in golden_streams() {
        let summary = verdict(&stream).expect("a golden stream is whole");
        let root = format!("./{}/", String::from_utf8(summary.snapshot.name).unwrap());
        let dump = text(&path.with_extension("dump"));
        let mut dumped = dump.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let is_of_root = words.next() == Some("utimes") && words.next() == Some(&root);
            let time = |word: &str| word.split_once('=').map(|(_, time)| seconds_of(time));
            is_of_root.then(|| words.filter_map(time).take(2).collect::<Vec<_>>())
        });
        let found = summary.root_times.map(|times| vec![times.accessed, times.modified]);
        let found = found.map(|times| times.iter().map(|time| time.seconds).collect::<Vec<_>>());
        assert_eq!(found, dumped.next_back(), "{}", path.display());
    }
}

fn seconds_of(time: &str) -> i64 {
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", time).expect("a time").as_second()
}

#[test]
fn command_ranges_have_no_gaps() {
    for (path, stream) in golden_streams() {
        let commands = verify([&stream[..]]).0;
        let ends = commands.iter().map(|command| command.range.end);
        let starts = commands.iter().skip(1).map(|command| command.range.start);
        assert!(ends.eq(starts.chain([stream.len() as u64])), "{}", path.display());
    }
}

#[test]
fn the_data_range_of_a_write_covers_its_file_data() {
    let stream = golden("large-2");
    let (commands, verdict) = verify([&stream[..]]);
    let write = commands.iter().find(|command| command.kind == CommandKind::Write).unwrap();
    let data = write.data.clone().unwrap();

    assert_eq!(verdict.unwrap().protocol, Protocol::V2);
    assert_eq!(data.end - data.start, 70_000, "more than a length of 16 bits can say");
    assert!(stream[data.start as usize..data.end as usize].iter().all(|byte| *byte == b'x'));
}

#[test]
fn the_snapshot_is_known_before_the_verdict() {
    let stream = golden("incremental-1");
    let mut verifier = Verifier::new();
    assert_eq!(verifier.snapshot(), None);
    verifier.feed(&stream[..500]).unwrap();

    let early = verifier.snapshot().cloned();

    assert!(early.is_some());
    assert_eq!(early, verdict(&stream).ok().map(|summary| summary.snapshot));
}

#[test]
fn streams_that_do_not_back_up_exactly_one_subvolume_are_refused() {
    #[rustfmt::skip]
    let cases = [
        ("no-data",                    Defect::NoData),
        ("two-subvolumes",             Defect::DataAfterEnd),
        ("two-subvolumes-without-end", Defect::SecondSubvolume),
    ];
    let refused = testdata().join("refused");
    assert_eq!(fs::read_dir(&refused).unwrap().count(), cases.len());
    for (name, defect) in cases {
        let stream = fs::read(refused.join(name).with_extension("stream")).unwrap();
        assert_eq!(verdict(&stream).unwrap_err().defect, defect, "{name}");
    }
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

pub fn golden(name: &str) -> Vec<u8> {
    fs::read(testdata().join(name).with_extension("stream")).expect("a golden stream")
}

fn golden_streams() -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(testdata()).expect("the golden streams");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "stream"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a stream"))).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("the recorded output for a stream")
}

/// Reduces a line of the dump to kind, path and the extent of file data.
fn dumped_line(line: &str) -> String {
    let line = line.replace("\\ ", "\\040");
    let mut words = line.split_whitespace().map(|word| word.trim_end_matches(','));
    let kind = words.next().expect("a kind");
    let rest_count = if kind.ends_with("write") { 3 } else { 1 };
    words.take(rest_count).fold(kind.to_owned(), |line, word| line + " " + word)
}

fn our_line(name: &[u8], command: &ReadCommand) -> String {
    let value = |wanted| command.attributes.iter().find(|(a, _)| *a == wanted).map(|(_, v)| v);
    let path = value(Attribute::Path).expect("a path in every command but END");
    let path = match command.kind.is_first() {
        true => escaped(path),
        false => escaped(&[name, b"/", path].concat()),
    };
    let line = format!("{} ./{path}", command.kind);
    let Some(data) = &command.data else { return line };
    let offset = value(Attribute::FileOffset).expect("an offset for file data");
    let offset = u64::from_le_bytes(offset[..].try_into().expect("eight bytes"));
    format!("{line} offset={offset} len={}", data.end - data.start)
}

/// Escapes a path as the dump does.
fn escaped(path: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'!'..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    path.iter().map(escape).collect()
}
