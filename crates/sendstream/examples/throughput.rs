//! Measures how fast one core verifies a stream:
//! `cargo run --release -p btrfs-sendstream --example throughput [FILE]`
//!
//! Without a file, it generates streams: one with large writes, as for big files,
//! and one with small commands, as for many small files.
#![expect(clippy::print_stdout, reason = "its output is the measurement")]

use std::time::Instant;
use std::{env, fs, io};

use btrfs_sendstream::{Attribute, CommandKind, Verifier};

/// Lengths from the writes of `btrfs send` into a pipe to the buffers of an upload.
const PIECE_BYTES: [usize; 3] = [4096, 64 * 1024, 1024 * 1024];
const ROUNDS: u32 = 5;
/// Larger than any CPU cache.
const STREAM_BYTES: usize = 256 * 1024 * 1024;

fn main() -> io::Result<()> {
    if let Some(path) = env::args_os().nth(1) {
        measure("the file", &fs::read(path)?);
        return Ok(());
    }
    measure("protocol 1, writes of 48 KiB", &generated(1, 48 * 1024));
    measure("protocol 2, writes of 128 KiB", &generated(2, 128 * 1024));
    measure("protocol 1, writes of 100 bytes", &generated(1, 100));
    Ok(())
}

fn measure(what: &str, stream: &[u8]) {
    for piece_bytes in PIECE_BYTES {
        let fastest = (0..ROUNDS).map(|_| seconds(stream, piece_bytes)).fold(f64::MAX, f64::min);
        let (commands, bytes) = (verify(stream, piece_bytes), stream.len() as f64);
        println!(
            "{what}, pieces of {piece_bytes}: {:.1} GB/s, {:.1} million commands/s",
            bytes / fastest / 1e9,
            commands as f64 / fastest / 1e6,
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn seconds(stream: &[u8], piece_bytes: usize) -> f64 {
    let start = Instant::now();
    verify(stream, piece_bytes);
    start.elapsed().as_secs_f64()
}

/// Returns the number of commands.
fn verify(stream: &[u8], piece_bytes: usize) -> u64 {
    let mut verifier = Verifier::new();
    for piece in stream.chunks(piece_bytes) {
        verifier.feed(piece).expect("a valid stream");
    }
    verifier.finish().expect("a complete stream").command_count
}

fn generated(version: u32, data_bytes: usize) -> Vec<u8> {
    let mut stream = [&b"btrfs-stream\0"[..], &version.to_le_bytes()].concat();
    let snapshot = [
        attribute(Attribute::Path, b"data"),
        attribute(Attribute::Uuid, &[7; 16]),
        attribute(Attribute::Ctransid, &[1; 8]),
    ];
    stream.extend(command(CommandKind::Subvolume, &snapshot.concat()));
    let data = vec![0x5a; data_bytes];
    let data = match version {
        1 => attribute(Attribute::Data, &data),
        _ => [&Attribute::Data.number().to_le_bytes()[..], &data].concat(),
    };
    let path = attribute(Attribute::Path, b"a/directory/and a file");
    let write = [path, attribute(Attribute::FileOffset, &[0; 8]), data].concat();
    let write = command(CommandKind::Write, &write);
    while stream.len() < STREAM_BYTES {
        stream.extend_from_slice(&write);
    }
    stream.extend(command(CommandKind::End, &[]));
    stream
}

fn attribute(attribute: Attribute, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("a value of at most 64 KiB");
    [&attribute.number().to_le_bytes()[..], &len.to_le_bytes(), value].concat()
}

fn command(kind: CommandKind, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("a body of at most 4 GiB");
    let start = [&len.to_le_bytes()[..], &kind.number().to_le_bytes()].concat();
    let mut digest = crc_fast::Digest::new_with_init_state(crc_fast::CrcAlgorithm::Crc32Iscsi, 0);
    [&start[..], &[0; 4], body].iter().for_each(|bytes| digest.update(bytes));
    let crc = digest.get_state() as u32;
    [&start[..], &crc.to_le_bytes(), body].concat()
}
