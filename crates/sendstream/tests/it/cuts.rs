//! Cutting a stream into pieces changes no result. A stream that ends early or
//! starts over is detected.

use btrfs_sendstream::{Attribute, CommandKind, Defect};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::builder::{
    attribute, command, data_without_length, header, raw_attribute, raw_command, stream,
};
use crate::golden::golden;
use crate::{verdict, verify};

const GOLDEN: [&str; 5] =
    ["received-parent-1", "unchanged-1", "incremental-1", "incremental-2", "compressed-2"];

#[test]
fn pieces_of_any_size_give_the_same_result() {
    for name in GOLDEN {
        let stream = golden(name);
        let whole = verify([&stream[..]]);
        for size in [1, 2, 3, 5, 7, 9, 10, 11, 16, 17, 18, 64, 1000, 4096, 65_536] {
            assert_eq!(verify(stream.chunks(size)), whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn one_cut_anywhere_gives_the_same_result() {
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
fn a_truncated_stream_is_never_valid() {
    for name in ["received-parent-1", "incremental-1", "incremental-2"] {
        let stream = golden(name);
        for len in 0..stream.len() {
            let err = verdict(&stream[..len]).unwrap_err();
            assert_eq!(err.defect, Defect::Truncated, "{name} up to {len}");
            assert_eq!(err.location.offset, len as u64);
        }
    }
}

/// A `btrfs send` that was suspended and resumed writes part of the stream, then
/// all of it.
#[test]
fn a_stream_that_starts_over_is_detected_at_that_offset() {
    for name in ["received-parent-1", "incremental-1", "incremental-2"] {
        let stream = golden(name);
        let (commands, _) = verify([&stream[..]]);
        let ends: Vec<_> = commands.iter().map(|command| command.range.end).collect();
        for len in 17..=stream.len() {
            let again = [&stream[..len], &stream].concat();
            let (seen, verdict) = verify([&again[..]]);

            let err = verdict.unwrap_err();
            let whole_before = ends.iter().filter(|end| **end <= len as u64).count();
            assert_eq!(seen, commands[..whole_before], "{name} starts over at {len}");
            let last_end = seen.last().map_or(17, |command| command.range.end);
            let in_command = len as u64 - last_end;
            let is_detected = match in_command {
                0 if len == stream.len() => err.defect == Defect::DataAfterEnd,
                0 => err.defect == Defect::SecondStreamHeader,
                // The header is composed of bytes of both streams, so its length
                // may have any value.
                1..10 if matches!(err.defect, Defect::CommandTooLong { .. }) => true,
                _ => matches!(err.defect, Defect::WrongChecksum { .. } | Defect::Truncated),
            };
            assert!(is_detected, "{name} starts over at {len}: {err}");
            if err.defect != Defect::Truncated {
                assert_eq!(err.location.offset, last_end, "{name} starts over at {len}");
            }
        }
    }
}

/// A stream of valid commands, commands with random attributes, and damaged ones.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    (1u32..=2).prop_flat_map(|version| {
        let command =
            prop_oneof![8 => valid_write(version), 1 => random_attributes(), 1 => bytes()];
        (vec(command, 0..8), 0usize..4).prop_map(move |(commands, lost)| {
            let mut stream = stream(version, &commands);
            stream.truncate(stream.len() - lost.saturating_sub(2));
            stream
        })
    })
}

fn valid_write(version: u32) -> impl Strategy<Value = Vec<u8>> {
    ("[a-z]{1,30}", vec(any::<u8>(), 0..300)).prop_map(move |(path, data)| {
        let path = attribute(Attribute::Path, path.as_bytes());
        let data = match version {
            1 => attribute(Attribute::Data, &data),
            _ => data_without_length(&data),
        };
        command(CommandKind::Write, &[path, attribute(Attribute::FileOffset, &[0; 8]), data])
    })
}

fn random_attributes() -> impl Strategy<Value = Vec<u8>> {
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
    fn any_cuts_of_any_stream_give_the_same_result(
        stream in any_stream(),
        sizes in vec(0usize..40, 1..200),
    ) {
        let whole = verify([&stream[..]]);
        prop_assert_eq!(verify(cut(&stream, &sizes)), whole);
    }

    #[test]
    fn any_cuts_of_a_golden_stream_give_the_same_result(
        name in prop::sample::select(&GOLDEN[..]),
        sizes in vec(0usize..9000, 1..50),
    ) {
        let stream = golden(name);
        let whole = verify([&stream[..]]);
        prop_assert_eq!(verify(cut(&stream, &sizes)), whole);
    }

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..300), version in 1u32..3) {
        prop_assert!(verdict(&bytes).is_err());
        prop_assert!(verdict(&[header(version), bytes].concat()).is_err());
    }
}

/// Cuts the stream into pieces of these sizes, repeatedly. A size may be 0.
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
