//! The part of a stream that is proven: whole commands, each with its checksum.
//!
//! A command that has not arrived whole is held back, so that not a byte of it
//! is handed on before its checksum was looked at. What is held is shorter than
//! one command and one piece.

use btrfs_sendstream::{Facts, StreamError, Verifier};

#[derive(Debug, Default)]
pub struct Proven {
    verifier: Verifier,
    held: Vec<u8>,
    /// Length of what was handed out last, at the start of `held`.
    handed: usize,
    /// Where `held` starts in the stream.
    start: u64,
}

impl Proven {
    /// Takes the next piece; returns what can be handed on now.
    pub fn feed(&mut self, piece: &[u8]) -> Result<&[u8], StreamError> {
        self.held.drain(..self.handed);
        self.start += self.handed as u64;
        self.handed = 0;
        self.held.extend_from_slice(piece);
        let mut end = self.start;
        self.verifier.feed_to(piece, |command| end = command.place.end)?;
        // What is held is in memory, so its length is a usize.
        self.handed = (end - self.start) as usize;
        Ok(&self.held[..self.handed])
    }

    pub fn finish(self) -> Result<Facts, StreamError> {
        self.verifier.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of `btrfs send`, with data: in two chunks.
    fn stream() -> Vec<u8> {
        let chunk = |n| {
            let path = format!(
                "{}/../../testdata/format/python/nas/subvol/data/full/chunk-20240101T020000Z-{n}.bin",
                env!("CARGO_MANIFEST_DIR"),
            );
            std::fs::read(path).expect("a chunk")
        };
        [chunk(0), chunk(1)].concat()
    }

    /// All that is handed on, and the error where there is one.
    fn handed_on(stream: &[u8], piece_bytes: usize) -> (Vec<u8>, Result<Facts, StreamError>) {
        let (mut proven, mut out) = (Proven::default(), Vec::new());
        for piece in stream.chunks(piece_bytes) {
            match proven.feed(piece) {
                Ok(bytes) => out.extend_from_slice(bytes),
                Err(err) => return (out, Err(err)),
            }
        }
        (out, proven.finish())
    }

    #[test]
    fn a_sound_stream_is_handed_on_as_it_is() {
        let stream = stream();
        for piece_bytes in [1, 7, 1000, stream.len()] {
            let (out, facts) = handed_on(&stream, piece_bytes);
            assert_eq!(out, stream, "{piece_bytes}");
            assert_eq!(facts.unwrap().total_bytes, stream.len() as u64);
        }
    }

    #[test]
    fn no_byte_of_a_damaged_command_is_handed_on() {
        let stream = stream();
        for at in (0..stream.len()).step_by(stream.len() / 50) {
            let mut damaged = stream.clone();
            damaged[at] ^= 1;
            let (out, verdict) = handed_on(&damaged, 7);
            assert!(verdict.is_err(), "{at}");
            assert!(out.len() <= at && stream.starts_with(&out), "{at}: {}", out.len());
        }
    }
}
