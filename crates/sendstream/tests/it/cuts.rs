//! How a stream is cut into pieces changes nothing; where it is cut off, or
//! starts again, is noticed.

use btrfs_sendstream::{Attribute, Kind, Wrong};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::golden::golden;
use crate::written::{
    attribute, command, data_without_length, header, raw_attribute, raw_command, stream,
};
use crate::{verdict, verify};

const GOLDEN: [&str; 5] =
    ["received-parent-1", "unchanged-1", "incremental-1", "incremental-2", "compressed-2"];

#[test]
fn pieces_of_any_one_size_give_the_same() {
    for name in GOLDEN {
        let stream = golden(name);
        let whole = verify([&stream[..]]);
        for size in [1, 2, 3, 5, 7, 9, 10, 11, 16, 17, 18, 64, 1000, 4096, 65_536] {
            assert_eq!(verify(stream.chunks(size)), whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn one_cut_anywhere_gives_the_same() {
    for name in ["received-parent-1", "unchanged-1", "incremental-2"] {
        let stream = golden(name);
        let whole = verify([&stream[..]]);
        for at in 0..=stream.len() {
            let (one, other) = stream.split_at(at);
            assert_eq!(verify([one, &[], other]), whole, "{name} cut at {at}");
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_is_never_whole() {
    for name in ["received-parent-1", "incremental-1", "incremental-2"] {
        let stream = golden(name);
        for len in 0..stream.len() {
            let err = verdict(&stream[..len]).unwrap_err();
            assert_eq!(err.wrong, Wrong::Truncated, "{name} up to {len}");
            assert_eq!(err.place.offset, len as u64);
        }
    }
}

/// What a frozen and thawed `btrfs send` writes: a part, then all of it.
#[test]
fn a_stream_that_starts_again_is_noticed_where_it_does() {
    for name in ["received-parent-1", "incremental-1", "incremental-2"] {
        let stream = golden(name);
        let (commands, _) = verify([&stream[..]]);
        let ends: Vec<_> = commands.iter().map(|command| command.place.end).collect();
        for len in 17..=stream.len() {
            let again = [&stream[..len], &stream].concat();
            let (seen, verdict) = verify([&again[..]]);

            let err = verdict.unwrap_err();
            let whole_before = ends.iter().filter(|end| **end <= len as u64).count();
            assert_eq!(seen, commands[..whole_before], "{name} again at {len}");
            let last_end = seen.last().map_or(17, |command| command.place.end);
            let in_command = len as u64 - last_end;
            let noticed = match in_command {
                0 if len == stream.len() => err.wrong == Wrong::AfterEnd,
                0 => err.wrong == Wrong::SecondHeader,
                // A header that is half from here and half from there: its
                // length may be anything.
                1..10 if matches!(err.wrong, Wrong::TooLong { .. }) => true,
                _ => matches!(err.wrong, Wrong::Checksum { .. } | Wrong::Truncated),
            };
            assert!(noticed, "{name} again at {len}: {err}");
            if err.wrong != Wrong::Truncated {
                assert_eq!(err.place.offset, last_end, "{name} again at {len}");
            }
        }
    }
}

/// Commands right, loose (any attributes in any command), and damaged.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    (1u32..=2).prop_flat_map(|version| {
        let command = prop_oneof![8 => right(version), 1 => loose(), 1 => bytes()];
        (vec(command, 0..8), 0usize..4).prop_map(move |(commands, lost)| {
            let mut stream = stream(version, &commands);
            stream.truncate(stream.len() - lost.saturating_sub(2));
            stream
        })
    })
}

fn right(version: u32) -> impl Strategy<Value = Vec<u8>> {
    ("[a-z]{1,30}", vec(any::<u8>(), 0..300)).prop_map(move |(path, data)| {
        let path = attribute(Attribute::Path, path.as_bytes());
        let data = match version {
            1 => attribute(Attribute::Data, &data),
            _ => data_without_length(&data),
        };
        command(Kind::Write, &[path, attribute(Attribute::FileOffset, &[0; 8]), data])
    })
}

fn loose() -> impl Strategy<Value = Vec<u8>> {
    (0u16..28, vec((0u16..34, bytes()), 0..6)).prop_map(|(kind, attributes)| {
        let attributes = attributes.iter().map(|(number, value)| raw_attribute(*number, value));
        raw_command(kind, &attributes.collect::<Vec<_>>().concat())
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

proptest! {
    #[test]
    fn any_cuts_of_any_stream_give_the_same(
        stream in any_stream(),
        sizes in vec(0usize..40, 1..200),
    ) {
        let whole = verify([&stream[..]]);
        prop_assert_eq!(verify(cut(&stream, &sizes)), whole);
    }

    #[test]
    fn any_cuts_of_a_golden_stream_give_the_same(
        name in prop::sample::select(&GOLDEN[..]),
        sizes in vec(0usize..9000, 1..50),
    ) {
        let stream = golden(name);
        let whole = verify([&stream[..]]);
        prop_assert_eq!(verify(cut(&stream, &sizes)), whole);
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in vec(any::<u8>(), 0..300), version in 1u32..3) {
        prop_assert!(verdict(&bytes).is_err());
        prop_assert!(verdict(&[header(version), bytes].concat()).is_err());
    }
}

/// Pieces of these sizes, over and over; empty ones too.
fn cut<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle().take(stream.len() + sizes.len()) {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}
