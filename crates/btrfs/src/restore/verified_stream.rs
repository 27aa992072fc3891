//! Verifies a stream and releases only whole commands whose checksum agreed.
//!
//! A command that has not arrived completely is held back, so that no byte of it is released
//! before its checksum was verified. The held bytes are less than one command; all others are
//! released from where they lie.
//!
//! The parent of the stream is checked before the first command is released, UUIDs are replaced
//! as [`UuidRewrite`] says, and the attributes that new files inherit are set last, as
//! [`InheritedAttributes`] says.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use btrfs_sendstream::encode::AttributeTooLong;
use btrfs_sendstream::{
    Command, CommandKind, Snapshot, StreamError, StreamSummary, Verifier, rewrite_uuids,
};

use super::inherited_attributes::InheritedAttributes;
use super::long_files::LongFiles;
use super::uuid_rewrite::{UuidRewrite, WrongParent};

#[derive(Debug)]
pub struct VerifiedStream {
    verifier: Verifier,
    rewrite: UuidRewrite,
    inherited: InheritedAttributes,
    /// The first command, once it was checked.
    first: Option<Snapshot>,
    /// Highest protocol that the receiver supports.
    protocol_max: u32,
    held: Vec<u8>,
    /// Offset of `held` in the stream. All bytes before it were released.
    released: u64,
    files: LongFiles,
}

/// The next verified bytes of the stream.
#[derive(Debug)]
pub enum StreamOutput<'a> {
    /// A range of the piece that was fed.
    InPiece(Range<usize>),
    /// Bytes that lie elsewhere, valid during the call only.
    Held(&'a [u8]),
}

/// The reason why a stream is not released any further.
#[derive(Debug)]
pub enum StreamRefusal {
    Stream(StreamError),
    WrongParent(WrongParent),
    /// The receiver does not support the protocol.
    Protocol,
    /// A command that is moved to the end of the stream cannot be encoded.
    Attribute(AttributeTooLong),
    Write(io::Error),
}

/// Difference between the released bytes and those of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    /// Other UUIDs.
    Uuids,
    /// Other UUIDs, and the removal of inherited attributes after it.
    First,
    /// Nothing is released.
    HoldBack,
    /// The attributes that were held back come before it.
    End,
}

impl VerifiedStream {
    pub fn new(
        rewrite: UuidRewrite,
        inherited: InheritedAttributes,
        protocol_max: u32,
    ) -> VerifiedStream {
        VerifiedStream {
            verifier: Verifier::new(),
            rewrite,
            inherited,
            first: None,
            protocol_max,
            held: Vec::new(),
            released: 0,
            files: LongFiles::default(),
        }
    }

    /// Returns the files that became long since the last call.
    pub fn take_long_files(&mut self) -> Vec<PathBuf> {
        self.files.take()
    }

    /// Returns the files that became complete since the last call.
    pub fn take_complete_files(&mut self) -> Vec<PathBuf> {
        self.files.take_complete()
    }

    /// Takes the next piece, and releases the commands that are verified by it.
    pub fn feed(
        &mut self,
        piece: &[u8],
        release: &mut impl FnMut(StreamOutput<'_>) -> io::Result<()>,
    ) -> Result<(), StreamRefusal> {
        let mut end = self.released;
        let mut edits: Vec<(Range<u64>, Edit)> = Vec::new();
        let fed = self.verifier.feed_to(piece, |command| {
            end = command.range.end;
            self.files.add(&command);
            let edit = edit_of(&command, self.rewrite.changes_any(), &mut self.inherited);
            edits.extend(edit.map(|edit| (command.range, edit)));
        });
        fed.map_err(StreamRefusal::Stream)?;
        self.check_first_command()?;
        let window = Window { start: self.released, held: &self.held, piece };
        let mut at = self.released;
        for (range, edit) in edits {
            window.release(at..range.start, release)?;
            at = range.end;
            let bytes = self.edited(window.bytes(range), edit).map_err(StreamRefusal::Attribute)?;
            if !bytes.is_empty() {
                release(StreamOutput::Held(&bytes)).map_err(StreamRefusal::Write)?;
            }
        }
        window.release(at..end, release)?;
        self.hold(end, piece);
        Ok(())
    }

    /// Returns what is released in place of a command.
    fn edited(&self, mut command: Vec<u8>, edit: Edit) -> Result<Vec<u8>, AttributeTooLong> {
        if let (Edit::First | Edit::Uuids, Some(first)) = (edit, &self.first) {
            rewrite_uuids(&mut command, |named| self.rewrite.replacement(first, named));
        }
        Ok(match edit {
            Edit::Uuids => command,
            Edit::First => [command, self.inherited.removals()?].concat(),
            Edit::HoldBack => Vec::new(),
            Edit::End => [self.inherited.settings()?, command].concat(),
        })
    }

    pub fn finish(self) -> Result<StreamSummary, StreamError> {
        self.verifier.finish()
    }

    fn check_first_command(&mut self) -> Result<(), StreamRefusal> {
        let (None, Some(first)) = (&self.first, self.verifier.snapshot()) else { return Ok(()) };
        if self.verifier.protocol().version() > self.protocol_max {
            return Err(StreamRefusal::Protocol);
        }
        self.rewrite
            .check_parent(first.parent.map(|parent| parent.uuid))
            .map_err(StreamRefusal::WrongParent)?;
        self.first = Some(first.clone());
        Ok(())
    }

    /// Holds the bytes that were not released.
    fn hold(&mut self, end: u64, piece: &[u8]) {
        // Both are lengths of memory, so the difference is a usize.
        let released = (end - self.released) as usize;
        let of_piece = released.saturating_sub(self.held.len());
        self.held.drain(..released.min(self.held.len()));
        self.held.extend_from_slice(&piece[of_piece..]);
        self.released = end;
    }
}

fn edit_of(
    command: &Command<'_>,
    is_renamed: bool,
    inherited: &mut InheritedAttributes,
) -> Option<Edit> {
    if command.kind.is_first() {
        return Some(Edit::First);
    }
    if command.kind == CommandKind::End {
        return Some(Edit::End);
    }
    if inherited.hold_back(command) {
        return Some(Edit::HoldBack);
    }
    (is_renamed && command.kind.holds_subvolume_uuids()).then_some(Edit::Uuids)
}

/// The bytes of the stream that are in memory: the held ones, then the piece.
struct Window<'a> {
    /// Offset of `held` in the stream.
    start: u64,
    held: &'a [u8],
    piece: &'a [u8],
}

impl Window<'_> {
    /// Splits a range of the stream into ranges of `held` and of `piece`.
    fn parts(&self, range: Range<u64>) -> (Range<usize>, Range<usize>) {
        let at = |offset: u64| (offset - self.start) as usize;
        let (start, end, held) = (at(range.start), at(range.end), self.held.len());
        (start.min(held)..end.min(held), start.saturating_sub(held)..end.saturating_sub(held))
    }

    fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let (of_held, of_piece) = self.parts(range);
        [&self.held[of_held], &self.piece[of_piece]].concat()
    }

    fn release(
        &self,
        range: Range<u64>,
        release: &mut impl FnMut(StreamOutput<'_>) -> io::Result<()>,
    ) -> Result<(), StreamRefusal> {
        let (of_held, of_piece) = self.parts(range);
        if !of_held.is_empty() {
            release(StreamOutput::Held(&self.held[of_held])).map_err(StreamRefusal::Write)?;
        }
        if !of_piece.is_empty() {
            release(StreamOutput::InPiece(of_piece)).map_err(StreamRefusal::Write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use btrfs_sendstream::Uuid;

    use super::*;
    use crate::restore::uuid_rewrite::{OwnUuid, UuidSalt};

    const PROTOCOL_MAX: u32 = 2;

    fn chunks(names: &[&str]) -> Vec<u8> {
        let chunk = |name: &&str| {
            let root = env!("CARGO_MANIFEST_DIR");
            let path = format!("{root}/../../testdata/format/python/nas/subvol/data/{name}.bin");
            std::fs::read(path).expect("a chunk")
        };
        names.iter().map(chunk).collect::<Vec<_>>().concat()
    }

    /// A stream of `btrfs send` with data, from two chunks.
    fn stream() -> Vec<u8> {
        chunks(&["full/chunk-20240101T020000Z-0", "full/chunk-20240101T020000Z-1"])
    }

    /// An incremental based on it.
    fn incremental() -> Vec<u8> {
        chunks(&["incremental/chunk-20240108T020000Z-0"])
    }

    fn of_full() -> UuidRewrite {
        UuidRewrite { own: None, parent: None }
    }

    fn new(rewrite: UuidRewrite, protocol_max: u32) -> VerifiedStream {
        VerifiedStream::new(rewrite, InheritedAttributes::default(), protocol_max)
    }

    /// Returns the released bytes, and the facts or the error.
    fn released_bytes(
        rewrite: UuidRewrite,
        stream: &[u8],
        piece_bytes: usize,
    ) -> (Vec<u8>, Result<StreamSummary, StreamRefusal>) {
        let (mut proven, mut out) = (new(rewrite, PROTOCOL_MAX), Vec::new());
        for piece in stream.chunks(piece_bytes) {
            let mut release = |released: StreamOutput<'_>| {
                out.extend_from_slice(match released {
                    StreamOutput::InPiece(range) => &piece[range],
                    StreamOutput::Held(bytes) => bytes,
                });
                Ok(())
            };
            if let Err(err) = proven.feed(piece, &mut release) {
                return (out, Err(err));
            }
        }
        (out, proven.finish().map_err(StreamRefusal::Stream))
    }

    #[test]
    fn a_sound_stream_is_released_unchanged() {
        let stream = stream();
        for piece_bytes in [1, 7, 1000, stream.len()] {
            let (out, facts) = released_bytes(of_full(), &stream, piece_bytes);
            assert!(out == stream, "{piece_bytes}");
            assert_eq!(facts.unwrap().total_bytes, stream.len() as u64);
        }
    }

    #[test]
    fn no_byte_of_a_damaged_command_is_released() {
        let stream = stream();
        for at in (0..stream.len()).step_by(stream.len() / 50) {
            let mut damaged = stream.clone();
            damaged[at] ^= 1;
            let (out, verdict) = released_bytes(of_full(), &damaged, 7);
            assert!(matches!(verdict, Err(StreamRefusal::Stream(_))), "{at}: {verdict:?}");
            assert!(out.len() <= at && stream.starts_with(&out), "{at}: {}", out.len());
        }
    }

    #[test]
    fn only_uuids_differ_in_a_rewritten_stream() {
        let (_, full) = released_bytes(of_full(), &stream(), 1000);
        let sent = full.unwrap().snapshot.uuid;
        let (salt, received) = (UuidSalt([3; 16]), Uuid([9; 16]));
        let salted = OwnUuid { salt, number: 1 };
        let rewrite = || UuidRewrite { own: Some(salted), parent: Some((sent, received)) };
        let stream = incremental();
        for piece_bytes in [1, 7, 1000, stream.len()] {
            let (out, facts) = released_bytes(rewrite(), &stream, piece_bytes);

            let own = facts.unwrap().snapshot.uuid;
            let mut out_facts = Verifier::new();
            out_facts.feed(&out).unwrap();
            let out_facts = out_facts.finish().unwrap();
            assert_eq!(out_facts.snapshot.uuid, salted.of(own), "{piece_bytes}");
            assert_eq!(out_facts.snapshot.parent.map(|parent| parent.uuid), Some(received));
            let differs = out.iter().zip(&stream).filter(|(one, other)| one != other).count();
            assert!(out.len() == stream.len() && differs <= 16 + 16 + 4, "{differs} bytes differ");
        }
    }

    #[test]
    fn no_byte_of_a_stream_with_another_parent_or_protocol_is_released() {
        let other = UuidRewrite { own: None, parent: Some((Uuid([1; 16]), Uuid([2; 16]))) };
        for (rewrite, stream) in
            [(of_full(), incremental()), (other, incremental()), (other, stream())]
        {
            let (out, verdict) = released_bytes(rewrite, &stream, 1000);
            assert!(matches!(verdict, Err(StreamRefusal::WrongParent(_))), "{verdict:?}");
            assert!(out.is_empty());
        }
        let mut proven = new(of_full(), 0);
        let refused = proven.feed(&stream(), &mut |_| Ok(()));
        assert!(matches!(refused, Err(StreamRefusal::Protocol)), "{refused:?}");
    }
}
