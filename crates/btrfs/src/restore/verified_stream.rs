//! The part of a stream that is proven: whole commands, each with its checksum.
//!
//! A command that has not arrived whole is held back, so that not a byte of it
//! is handed on before its checksum was looked at. What is held is shorter than
//! one command; all else is handed on from where it lies.
//!
//! What the stream is based on is looked at before its first command is handed
//! on, and `btrfs receive` is told other [`UuidRewrite`].

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use btrfs_sendstream::{Snapshot, StreamError, StreamSummary, Uuid, Verifier, rewrite_uuids};

use super::long_files::LongFiles;
use super::uuid_rewrite::{OtherBase, UuidRewrite};

#[derive(Debug)]
pub struct VerifiedStream {
    verifier: Verifier,
    names: UuidRewrite,
    /// Of the first command, once that was looked at.
    own: Option<Uuid>,
    /// The highest protocol that the receiver takes.
    protocol_max: u32,
    held: Vec<u8>,
    /// Where `held` starts in the stream: what is before was handed on.
    handed: u64,
    files: LongFiles,
}

/// VerifiedStream bytes, the next in the stream.
#[derive(Debug)]
pub enum Handed<'a> {
    /// These of the piece that was fed.
    Here(Range<usize>),
    /// They lie elsewhere, and only for now.
    Held(&'a [u8]),
}

/// Why nothing more is handed on.
#[derive(Debug)]
pub enum Refused {
    Stream(StreamError),
    Base(OtherBase),
    /// The receiver is too old for it.
    Protocol,
    Write(io::Error),
}

impl VerifiedStream {
    pub fn new(names: UuidRewrite, protocol_max: u32) -> VerifiedStream {
        let verifier = Verifier::new();
        let (held, files) = (Vec::new(), LongFiles::default());
        VerifiedStream { verifier, names, own: None, protocol_max, held, handed: 0, files }
    }

    /// Files that much was handed on for since this was last asked.
    pub fn take_long_files(&mut self) -> Vec<PathBuf> {
        self.files.take()
    }

    /// Takes the next piece, and hands on what is proven now.
    pub fn feed(
        &mut self,
        piece: &[u8],
        hand_on: &mut impl FnMut(Handed<'_>) -> io::Result<()>,
    ) -> Result<(), Refused> {
        let mut end = self.handed;
        let mut naming: Vec<Range<u64>> = Vec::new();
        let renames = self.names.rename_any();
        let fed = self.verifier.feed_to(piece, |command| {
            end = command.range.end;
            self.files.add(&command);
            if renames && command.kind.holds_subvolume_uuids() {
                naming.push(command.range);
            }
        });
        fed.map_err(Refused::Stream)?;
        self.look_at_first()?;
        let window = Window { start: self.handed, held: &self.held, piece };
        let mut at = self.handed;
        for place in naming {
            window.hand_on(at..place.start, hand_on)?;
            at = place.end;
            let mut command = window.bytes(place);
            rewrite_uuids(&mut command, |uuid| self.names.told(self.own, uuid));
            hand_on(Handed::Held(&command)).map_err(Refused::Write)?;
        }
        window.hand_on(at..end, hand_on)?;
        self.hold(end, piece);
        Ok(())
    }

    pub fn finish(self) -> Result<StreamSummary, StreamError> {
        self.verifier.finish()
    }

    fn look_at_first(&mut self) -> Result<(), Refused> {
        let (None, Some(Snapshot { uuid, parent, .. })) = (self.own, self.verifier.snapshot())
        else {
            return Ok(());
        };
        if self.verifier.protocol().version() > self.protocol_max {
            return Err(Refused::Protocol);
        }
        self.names.check_base(parent.map(|parent| parent.uuid)).map_err(Refused::Base)?;
        self.own = Some(*uuid);
        Ok(())
    }

    /// Keeps what was not handed on.
    fn hold(&mut self, end: u64, piece: &[u8]) {
        // What is in memory has a length that is a usize.
        let handed = (end - self.handed) as usize;
        let of_piece = handed.saturating_sub(self.held.len());
        self.held.drain(..handed.min(self.held.len()));
        self.held.extend_from_slice(&piece[of_piece..]);
        self.handed = end;
    }
}

/// Bytes of the stream that are in memory: what was held, then the piece.
struct Window<'a> {
    /// Where `held` starts in the stream.
    start: u64,
    held: &'a [u8],
    piece: &'a [u8],
}

impl Window<'_> {
    /// Where a place of the stream lies: in what was held, and in the piece.
    fn parts(&self, place: Range<u64>) -> (Range<usize>, Range<usize>) {
        let at = |offset: u64| (offset - self.start) as usize;
        let (start, end, held) = (at(place.start), at(place.end), self.held.len());
        (start.min(held)..end.min(held), start.saturating_sub(held)..end.saturating_sub(held))
    }

    fn bytes(&self, place: Range<u64>) -> Vec<u8> {
        let (of_held, of_piece) = self.parts(place);
        [&self.held[of_held], &self.piece[of_piece]].concat()
    }

    fn hand_on(
        &self,
        place: Range<u64>,
        hand_on: &mut impl FnMut(Handed<'_>) -> io::Result<()>,
    ) -> Result<(), Refused> {
        let (of_held, of_piece) = self.parts(place);
        if !of_held.is_empty() {
            hand_on(Handed::Held(&self.held[of_held])).map_err(Refused::Write)?;
        }
        if !of_piece.is_empty() {
            hand_on(Handed::Here(of_piece)).map_err(Refused::Write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::uuid_rewrite::UuidSalt;

    const PROTOCOL_MAX: u32 = 2;

    fn chunks(names: &[&str]) -> Vec<u8> {
        let chunk = |name: &&str| {
            let root = env!("CARGO_MANIFEST_DIR");
            let path = format!("{root}/../../testdata/format/python/nas/subvol/data/{name}.bin");
            std::fs::read(path).expect("a chunk")
        };
        names.iter().map(chunk).collect::<Vec<_>>().concat()
    }

    /// A stream of `btrfs send`, with data: in two chunks.
    fn stream() -> Vec<u8> {
        chunks(&["full/chunk-20240101T020000Z-0", "full/chunk-20240101T020000Z-1"])
    }

    /// One that is based on it.
    fn incremental() -> Vec<u8> {
        chunks(&["incremental/chunk-20240108T020000Z-0"])
    }

    fn of_full() -> UuidRewrite {
        UuidRewrite { salt: None, parent: None }
    }

    /// All that is handed on, and the error where there is one.
    fn handed_on(
        names: UuidRewrite,
        stream: &[u8],
        piece_bytes: usize,
    ) -> (Vec<u8>, Result<StreamSummary, Refused>) {
        let (mut proven, mut out) = (VerifiedStream::new(names, PROTOCOL_MAX), Vec::new());
        for piece in stream.chunks(piece_bytes) {
            let mut hand_on = |handed: Handed<'_>| {
                out.extend_from_slice(match handed {
                    Handed::Here(range) => &piece[range],
                    Handed::Held(bytes) => bytes,
                });
                Ok(())
            };
            if let Err(err) = proven.feed(piece, &mut hand_on) {
                return (out, Err(err));
            }
        }
        (out, proven.finish().map_err(Refused::Stream))
    }

    #[test]
    fn a_sound_stream_is_handed_on_as_it_is() {
        let stream = stream();
        for piece_bytes in [1, 7, 1000, stream.len()] {
            let (out, facts) = handed_on(of_full(), &stream, piece_bytes);
            assert!(out == stream, "{piece_bytes}");
            assert_eq!(facts.unwrap().total_bytes, stream.len() as u64);
        }
    }

    #[test]
    fn no_byte_of_a_damaged_command_is_handed_on() {
        let stream = stream();
        for at in (0..stream.len()).step_by(stream.len() / 50) {
            let mut damaged = stream.clone();
            damaged[at] ^= 1;
            let (out, verdict) = handed_on(of_full(), &damaged, 7);
            assert!(matches!(verdict, Err(Refused::Stream(_))), "{at}: {verdict:?}");
            assert!(out.len() <= at && stream.starts_with(&out), "{at}: {}", out.len());
        }
    }

    #[test]
    fn only_names_differ_in_what_is_handed_on() {
        let (_, full) = handed_on(of_full(), &stream(), 1000);
        let sent = full.unwrap().snapshot.uuid;
        let (salt, received) = (UuidSalt([3; 16]), Uuid([9; 16]));
        let names = || UuidRewrite { salt: Some(salt), parent: Some((sent, received)) };
        let stream = incremental();
        for piece_bytes in [1, 7, 1000, stream.len()] {
            let (out, facts) = handed_on(names(), &stream, piece_bytes);

            let own = facts.unwrap().snapshot.uuid;
            let mut told = Verifier::new();
            told.feed(&out).unwrap();
            let told = told.finish().unwrap();
            assert_eq!(told.snapshot.uuid, salt.of(own), "{piece_bytes}");
            assert_eq!(told.snapshot.parent.map(|parent| parent.uuid), Some(received));
            let differs = out.iter().zip(&stream).filter(|(one, other)| one != other).count();
            assert!(out.len() == stream.len() && differs <= 16 + 16 + 4, "{differs} bytes differ");
        }
    }

    #[test]
    fn nothing_of_a_stream_with_another_base_or_protocol_is_handed_on() {
        let other = UuidRewrite { salt: None, parent: Some((Uuid([1; 16]), Uuid([2; 16]))) };
        for (names, stream) in
            [(of_full(), incremental()), (other, incremental()), (other, stream())]
        {
            let (out, verdict) = handed_on(names, &stream, 1000);
            assert!(matches!(verdict, Err(Refused::Base(_))), "{verdict:?}");
            assert!(out.is_empty());
        }
        let mut proven = VerifiedStream::new(of_full(), 0);
        let refused = proven.feed(&stream(), &mut |_| Ok(()));
        assert!(matches!(refused, Err(Refused::Protocol)), "{refused:?}");
    }
}
