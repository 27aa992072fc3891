//! Cutting a stream into pieces never changes its verdict. Commands follow each
//! other without gaps, and a valid stream that is truncated is not valid.
#![no_main]

use btrfs_sendstream::{StreamVerdict, Verifier};
use libfuzzer_sys::fuzz_target;

const HEADER_BYTES: usize = 17;
const COMMAND_HEADER_BYTES: usize = 10;

/// Kind, range, file data and attributes of each command, as text.
type ReadCommands = Vec<String>;

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (version, sizes, commands) = input;
    // Magic and checksums are correct, and usually the first command too.
    // Otherwise no input would reach the code behind these checks.
    let first = if version < 32 { &[] } else { first_command() };
    let mut stream = [b"btrfs-stream\0", &[version % 3, 0, 0, 0][..], first, commands].concat();
    fix_checksums(&mut stream);

    let (seen, verdict) = verify([&stream[..]]);

    assert_eq!(verify(cut(&stream, &sizes)), (seen.clone(), verdict.clone()));
    assert_eq!(verify(stream.chunks(1)), (seen, verdict.clone()));
    let Ok(summary) = verdict else { return };
    assert_eq!(summary.total_bytes, stream.len() as u64);
    let len = usize::from(version) % stream.len();
    assert!(verify([&stream[..len]]).1.is_err(), "truncated at {len}");
    assert!(verify([&stream[..], &[0]]).1.is_err(), "bytes after END");
});

fn verify<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (ReadCommands, StreamVerdict) {
    let mut verifier = Verifier::new();
    let (mut seen, mut end) = (ReadCommands::new(), HEADER_BYTES as u64);
    for piece in pieces {
        let fed = verifier.feed_to(piece, |command| {
            assert_eq!(command.range.start, end);
            end = command.range.end;
            if let Some(data) = &command.data {
                assert!(command.range.start < data.start && data.end == end);
            }
            let attributes: Vec<_> = command.attributes().collect();
            seen.push(format!("{command:?} {attributes:?}"));
        });
        if fed.is_err() {
            break;
        }
    }
    (seen, verifier.finish())
}

/// Returns the first command of a stream of the real `btrfs send`, whose only
/// other command is END.
fn first_command() -> &'static [u8] {
    let golden = include_bytes!("../../crates/sendstream/testdata/unchanged-1.stream");
    let commands = &golden[HEADER_BYTES..];
    &commands[..commands.len() - COMMAND_HEADER_BYTES]
}

/// Cuts the stream into pieces of these sizes, and then the rest.
fn cut<'a>(stream: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, after) = rest.split_at(rest.len().min((*size).into()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn fix_checksums(stream: &mut [u8]) {
    let mut rest = &mut stream[HEADER_BYTES..];
    while let Some(len) = rest.first_chunk().map(|len| u32::from_le_bytes(*len) as usize) {
        let Some((command, after)) = rest.split_at_mut_checked(COMMAND_HEADER_BYTES + len) else {
            return;
        };
        command[6..10].fill(0);
        let crc = crc32c(command);
        command[6..10].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, byte| {
        let start = crc ^ u32::from(*byte);
        (0..8).fold(start, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}
