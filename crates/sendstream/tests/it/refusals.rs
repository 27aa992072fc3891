//! One row for each defect that the verifier detects.

use btrfs_sendstream::{
    Attribute, COMMAND_BYTES_MAX_V1, COMMAND_BYTES_MAX_V2, CommandKind, Defect, HEAD_BYTES_MAX,
    Parent, Protocol, StreamPathRule, Uuid,
};

use crate::builder::{
    PARENT_UUID, UUID, attribute, command, data_without_length, end, header, raw_attribute,
    raw_command, snapshot, stream, subvolume,
};
use crate::golden::golden;
use crate::{verdict, verify};

#[test]
fn hand_made_streams_are_valid() {
    for version in [1, 2] {
        let full = verdict(&stream(version, &[write(version, b"abc")])).unwrap();
        assert_eq!(full.protocol.version(), version);
        assert_eq!(full.snapshot.name, b"data");
        assert_eq!((full.snapshot.uuid, full.snapshot.ctransid), (Uuid(UUID), 5));
        assert_eq!(full.snapshot.parent, None);
        assert_eq!(full.command_count, 3);
    }

    let incremental = verdict(&[header(1), snapshot("data"), end()].concat()).unwrap();
    let parent = Parent { uuid: Uuid(PARENT_UUID), ctransid: 4 };
    assert_eq!(incremental.snapshot.parent, Some(parent));
    assert_eq!(incremental.protocol, Protocol::V1);
}

#[test]
fn wrong_headers_are_refused() {
    let good = stream(1, &[]);
    let twice = [header(1), subvolume("data"), header(1), subvolume("data"), end()].concat();
    let second_at = header(1).len() + subvolume("data").len();
    #[rustfmt::skip]
    let cases = [
        ("nothing at all",      Vec::new(),                              0,          Defect::Truncated),
        ("a cut header",        good[..16].to_vec(),                     16,         Defect::Truncated),
        ("a header only",       header(1),                               17,         Defect::Truncated),
        ("not our magic",       b"btrfs-stream 1234".to_vec(),           0,          Defect::WrongMagic { found: "btrfs-stream ".to_owned() }),
        ("version 0",           header(0),                               0,          Defect::UnknownVersion(0)),
        ("version 3",           header(3),                               0,          Defect::UnknownVersion(3)),
        ("big endian",          header(1 << 24),                         0,          Defect::UnknownVersion(1 << 24)),
        ("a second header",     twice,                                   second_at,  Defect::SecondStreamHeader),
        ("header after header", [header(1), good.clone()].concat(),      17,         Defect::SecondStreamHeader),
        ("a byte after END",    [&good[..], b"\0"].concat(),             good.len(), Defect::DataAfterEnd),
        ("END after END",       [good.clone(), end()].concat(),          good.len(), Defect::DataAfterEnd),
        ("a stream after END",  [good.clone(), good.clone()].concat(),   good.len(), Defect::DataAfterEnd),
    ];
    for (situation, stream, offset, defect) in cases {
        let err = verdict(&stream).unwrap_err();
        assert_eq!((err.location.offset, err.defect), (offset as u64, defect), "{situation}");
        assert_eq!(err.location.command, None, "{situation}");
    }
}

#[test]
fn only_the_first_command_names_the_snapshot() {
    #[rustfmt::skip]
    let cases = [
        ("a file first",        vec![mkfile(b"a"), subvolume("data")],             1, Defect::MissingSnapshotCommand),
        ("END first",           vec![end()],                                       1, Defect::MissingSnapshotCommand),
        ("two subvolumes",      vec![subvolume("a"), subvolume("b")],              2, Defect::SecondSubvolume),
        ("a snapshot later",    vec![subvolume("a"), mkfile(b"a"), snapshot("a")], 3, Defect::SecondSubvolume),
        ("two snapshots",       vec![snapshot("a"), snapshot("a")],                2, Defect::SecondSubvolume),
    ];
    for (situation, commands, nth, defect) in cases {
        let stream = [header(1), commands.concat(), end()].concat();
        let err = verdict(&stream).unwrap_err();
        assert_eq!(err.defect, defect, "{situation}");
        assert_eq!(err.location.command.map(|command| command.nth), Some(nth), "{situation}");
    }
}

#[test]
fn wrong_commands_are_refused() {
    let path = || attribute(Attribute::Path, b"a");
    let file_offset = || attribute(Attribute::FileOffset, &[0; 8]);
    let data = || attribute(Attribute::Data, b"abc");
    let long = |number| raw_attribute(number, &[7; 65_535]);
    let longest = |limit: u64| raw_command_of_bytes(limit + 1);
    let head_too_long = [path(), long(14), long(13)].concat();
    #[rustfmt::skip]
    let cases = [
        ("command 0",          1, raw_command(0, b""),                               Defect::UnknownCommand(Protocol::V1)),
        ("version 2 in 1",     1, raw_command(23, b""),                              Defect::UnknownCommand(Protocol::V1)),
        ("command 26",         2, raw_command(26, b""),                              Defect::UnknownCommand(Protocol::V2)),
        ("too long for 1",     1, longest(COMMAND_BYTES_MAX_V1),                     Defect::CommandTooLong { bytes: 65_537, limit: 65_536 }),
        ("too long for 2",     2, longest(COMMAND_BYTES_MAX_V2),                     Defect::CommandTooLong { bytes: 16_777_217, limit: 16_777_216 }),
        ("attribute 0",        1, raw_command(3, &raw_attribute(0, b"")),            Defect::UnknownAttribute { number: 0, protocol: Protocol::V1 }),
        ("version 2 in 1",     1, raw_command(3, &raw_attribute(25, &[0; 4])),       Defect::UnknownAttribute { number: 25, protocol: Protocol::V1 }),
        ("attribute 32",       2, raw_command(3, &raw_attribute(32, b"")),           Defect::UnknownAttribute { number: 32, protocol: Protocol::V2 }),
        ("half a type",        1, raw_command(3, &[15]),                             Defect::AttributeTruncated { left: 1 }),
        ("half a length",      1, raw_command(3, &[15, 0, 1]),                       Defect::AttributeTruncated { left: 1 }),
        ("no value",           1, raw_command(3, &[15, 0, 1, 0]),                    Defect::AttributeTruncated { left: 4 }),
        ("data cut short",     1, raw_command(15, &[19, 0, 4, 0, 1, 2, 3]),          Defect::AttributeTruncated { left: 7 }),
        ("a path twice",       1, command(CommandKind::Mkfile, &[path(), path()]),          Defect::DuplicateAttribute(Attribute::Path)),
        ("data not last",      1, command(CommandKind::Write, &[data(), path()]),           Defect::DataNotLast),
        ("too much to keep",   2, raw_command(13, &head_too_long),                   Defect::HeadTooLong { bytes: 131_083, limit: HEAD_BYTES_MAX }),
        ("no path",            1, command(CommandKind::Mkfile, &[]),                        Defect::MissingAttribute(Attribute::Path)),
        ("no data",            1, command(CommandKind::Write, &[path(), file_offset()]),    Defect::MissingAttribute(Attribute::Data)),
        ("no new path",        1, command(CommandKind::Rename, &[path()]),                  Defect::MissingAttribute(Attribute::PathTo)),
        ("data left out",      1, command(CommandKind::UpdateExtent, &[path()]),            Defect::NoData),
    ];
    for (situation, version, command, defect) in cases {
        let stream = stream(version, &[mkfile(b"before"), command]);
        let (before, verdict) = verify([&stream[..]]);
        let err = verdict.unwrap_err();
        assert_eq!(err.defect, defect, "{situation}");
        assert_eq!(before.len(), 2, "{situation}");
        assert_eq!(err.location.offset, before[1].range.end, "{situation}");
        assert_eq!(err.location.command.map(|command| command.nth), Some(3), "{situation}");
    }
}

#[test]
fn commands_of_the_maximum_length_are_accepted() {
    let whole = |version, body: &[u8]| verdict(&stream(version, &[raw_command(15, body)]));
    let head = [attribute(Attribute::Path, b"a"), attribute(Attribute::FileOffset, &[0; 8])];

    let bytes = COMMAND_BYTES_MAX_V1 as usize - 10 - head.concat().len() - 4;
    let data = attribute(Attribute::Data, &vec![7; bytes]);
    assert!(whole(1, &[head.concat(), data].concat()).is_ok());

    let bytes = COMMAND_BYTES_MAX_V2 as usize - 10 - head.concat().len() - 2;
    let data = data_without_length(&vec![7; bytes]);
    assert!(whole(2, &[head.concat(), data].concat()).is_ok());
}

#[test]
fn numbers_times_and_uuids_must_have_their_exact_length() {
    #[rustfmt::skip]
    let cases = [
        (CommandKind::Truncate,       Attribute::Size,           4,  8),
        (CommandKind::Truncate,       Attribute::Size,           9,  8),
        (CommandKind::Utimes,         Attribute::Mtime,          8,  12),
        (CommandKind::Clone,          Attribute::CloneUuid,      15, 16),
        (CommandKind::Fallocate,      Attribute::FallocateMode,  8,  4),
        (CommandKind::EncodedWrite,   Attribute::Compression,    0,  4),
        (CommandKind::FileAttributes, Attribute::FileAttributes, 4,  8),
    ];
    for (kind, wrong, bytes, expected) in cases {
        let command = command(kind, &all_attributes(wrong, &vec![1; bytes]));
        let err = verdict(&stream(2, &[command])).unwrap_err();
        assert_eq!(err.defect, Defect::WrongAttributeLength { attribute: wrong, bytes, expected });
    }
}

#[test]
fn a_path_that_leaves_the_subvolume_is_refused() {
    use Attribute::{ClonePath, Path, PathLink, PathTo, XattrName};
    use StreamPathRule::{NoNul, NotEmpty, PlainSegments, Relative, SingleName};
    #[rustfmt::skip]
    let cases: [(_, _, &[u8], _); 20] = [
        (CommandKind::Mkfile,      Path,      b"/etc/passwd", Some(Relative)),
        (CommandKind::Mkfile,      Path,      b"a/../../b",   Some(PlainSegments)),
        (CommandKind::Mkfile,      Path,      b"",            Some(NotEmpty)),
        (CommandKind::Write,       Path,      b"",            Some(NotEmpty)),
        (CommandKind::Write,       Path,      b"a\0b",        Some(NoNul)),
        (CommandKind::Rename,      PathTo,    b"../a",        Some(PlainSegments)),
        (CommandKind::Link,        PathLink,  b"/etc/shadow", Some(Relative)),
        (CommandKind::Link,        PathLink,  b"../a",        Some(PlainSegments)),
        (CommandKind::Clone,       ClonePath, b"/a",          Some(Relative)),
        (CommandKind::Chmod,       Path,      b"..",          Some(PlainSegments)),
        (CommandKind::SetXattr,    XattrName, b"a\0",         Some(NoNul)),
        (CommandKind::RemoveXattr, XattrName, b"",            Some(NotEmpty)),
        (CommandKind::Symlink,     PathLink,  b"",            Some(NotEmpty)),
        (CommandKind::Rename,      Path,      b"",            Some(NotEmpty)),
        // The root of the subvolume, and the target of a symlink.
        (CommandKind::Chmod,       Path,      b"",            None),
        (CommandKind::Chown,       Path,      b"",            None),
        (CommandKind::Utimes,      Path,      b"",            None),
        (CommandKind::SetXattr,    Path,      b"",            None),
        (CommandKind::Symlink,     PathLink,  b"/../etc",     None),
        (CommandKind::Mkfile,      Path,      b"\xff\n..a",   None),
    ];
    for (kind, attribute, path, rule) in cases {
        let command = command(kind, &all_attributes(attribute, path));
        let found = verdict(&stream(2, &[command])).err().map(|err| err.defect);
        let text = String::from_utf8_lossy(path).into_owned();
        let want = rule.map(|rule| Defect::InvalidPath { attribute, text, rule });
        assert_eq!(found, want, "{kind} {attribute}");
    }

    #[rustfmt::skip]
    let names = [("a/b", SingleName), ("..", PlainSegments), ("/", Relative), ("", NotEmpty), ("a\0", NoNul)];
    for (name, rule) in names {
        for first in [subvolume(name), snapshot(name)] {
            let err = verdict(&[header(1), first, end()].concat()).unwrap_err();
            let want = Defect::InvalidPath { attribute: Path, text: name.to_owned(), rule };
            assert_eq!(err.defect, want);
        }
    }
}

#[test]
fn every_kind_with_all_its_attributes_is_accepted() {
    for number in 1..=25 {
        let kind = CommandKind::from_number(number, Protocol::V2).unwrap();
        if kind.is_first() || matches!(kind, CommandKind::End | CommandKind::UpdateExtent) {
            continue;
        }
        let stream = stream(2, &[command(kind, &all_attributes(Attribute::Path, b"a"))]);
        let (commands, verdict) = verify([&stream[..]]);
        assert!(verdict.is_ok(), "{kind}: {verdict:?}");
        assert_eq!(commands[1].kind, kind);
        assert_eq!(commands[1].attributes.len(), 30, "all but the file data");
    }
}

#[test]
fn every_single_bit_flip_is_detected() {
    let good = golden("received-parent-1");
    for bit in 0..good.len() * 8 {
        let mut stream = good.clone();
        stream[bit / 8] ^= 1 << (bit % 8);
        assert!(verdict(&stream).is_err(), "bit {bit}");
    }
}

#[test]
fn a_wrong_checksum_is_reported_with_the_offset_of_its_command() {
    let good = golden("incremental-1");
    let (commands, _) = verify([&good[..]]);
    let nth = commands.iter().position(|command| command.kind == CommandKind::Write).unwrap();
    let range = &commands[nth].range;
    let mut stream = good.clone();
    stream[range.end as usize - 1] ^= 1;

    let (seen, verdict) = verify([&stream[..]]);

    let err = verdict.unwrap_err();
    assert!(matches!(err.defect, Defect::WrongChecksum { expected, found } if expected != found));
    assert_eq!(err.location.offset, range.start);
    assert_eq!(seen, commands[..nth], "the commands before it were handed out");
}

#[test]
fn messages_say_what_was_expected_and_found_at_which_offset() {
    let cases = [
        (
            b"x".repeat(17),
            "send stream, byte 0: expected the magic bytes of a btrfs send stream, found \"xxxxxxxxxxxxx\"",
        ),
        (header(3), "send stream, byte 0: expected protocol version 1 or 2, found 3"),
        (
            stream(1, &[mkfile(b"../a")]),
            "send stream, byte 67, command 2 (mkfile): \
             expected no segment that is empty, `.` or `..` in the attribute path, found \"../a\"",
        ),
        (
            stream(1, &[raw_command(99, b"")]),
            "send stream, byte 67, command 2 (number 99): \
             expected a command of protocol version 1, found an unknown one",
        ),
        (
            with_last_byte_changed(header(1), subvolume("data")),
            "send stream, byte 17, command 1 (subvol): \
             expected CRC32C db5bc87a, found 29304b79",
        ),
        (
            [header(1), subvolume("data")].concat()[..50].to_vec(),
            "send stream, byte 50, command 1 (subvol): \
             expected more commands before END, found the end of the stream",
        ),
        (
            [stream(1, &[]), header(1)].concat(),
            "send stream, byte 77: expected the end of the stream after END, found more bytes",
        ),
    ];
    for (stream, message) in cases {
        assert_eq!(verdict(&stream).unwrap_err().to_string(), message);
    }
}

fn mkfile(path: &[u8]) -> Vec<u8> {
    command(CommandKind::Mkfile, &[attribute(Attribute::Path, path)])
}

fn write(version: u32, data: &[u8]) -> Vec<u8> {
    let data = match version {
        1 => attribute(Attribute::Data, data),
        _ => data_without_length(data),
    };
    let path = attribute(Attribute::Path, b"a");
    command(CommandKind::Write, &[path, attribute(Attribute::FileOffset, &[0; 8]), data])
}

/// All attributes of protocol 2 with valid values, except for `chosen`.
fn all_attributes(chosen: Attribute, value: &[u8]) -> Vec<Vec<u8>> {
    let known = (1..=31).filter_map(|number| Attribute::from_number(number, Protocol::V2));
    let others = known.filter(|other| *other != Attribute::Data);
    let others =
        others.map(|other| attribute(other, if other == chosen { value } else { valid(other) }));
    others.chain([data_without_length(b"abc")]).collect()
}

fn valid(attribute: Attribute) -> &'static [u8] {
    match attribute.number() {
        1 | 20 => &[1; 16],
        9..=12 => &[1; 12],
        25 | 30 | 31 => &[1; 4],
        13..=17 | 22 => b"name",
        _ => &[1; 8],
    }
}

/// A command of which only the header is valid.
fn raw_command_of_bytes(bytes: u64) -> Vec<u8> {
    raw_command(15, &vec![0; bytes as usize - 10])
}

fn with_last_byte_changed(header: Vec<u8>, mut command: Vec<u8>) -> Vec<u8> {
    *command.last_mut().expect("a command has bytes") ^= 1;
    [header, command].concat()
}
