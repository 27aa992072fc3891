//! Writes the bytes of verified parts into the staged files, in the order of the streams.
//!
//! Parts arrive in the order in which the pieces are sorted, each once. A piece that continues in the
//! next part waits for it. Files with a piece in a damaged part are not restored.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use btrfs_stream_index::sort::Sorter;
use s3up_core::error_chain;
use s3up_repository::fetch::parts::FetchedPart;
use tokio::sync::mpsc;

use super::decode::decode;
use super::error::FileRestoreError;
use super::piece::{Encoding, FileNumber, Piece};
use super::staging::FileStaging;

/// The reason why the content of a file is not whole.
pub type DamagedFiles = BTreeMap<FileNumber, String>;

struct PieceWriter<'w> {
    parts: mpsc::Receiver<FetchedPart>,
    part: Option<FetchedPart>,
    staging: &'w mut FileStaging,
    target: &'w Path,
    /// Pieces that continue in the next part.
    begun: Vec<BegunPiece>,
    damaged: DamagedFiles,
    /// The last data that was decompressed, which several pieces may share.
    decoded: Option<(Piece, Vec<u8>)>,
}

struct BegunPiece {
    piece: Piece,
    /// The next byte of the stream that it needs.
    at: u64,
    /// The compressed data so far.
    stored: Vec<u8>,
}

/// Writes all pieces. Returns the files with a damaged part.
pub fn write_pieces(
    pieces: Sorter,
    parts: mpsc::Receiver<FetchedPart>,
    staging: &mut FileStaging,
    target: &Path,
) -> Result<DamagedFiles, FileRestoreError> {
    let mut writer = PieceWriter {
        parts,
        part: None,
        staging,
        target,
        begun: Vec::new(),
        damaged: DamagedFiles::new(),
        decoded: None,
    };
    pieces.finish(|key, value| writer.add(Piece::decode(key, value)?))?;
    while !writer.begun.is_empty() {
        writer.next_part()?;
    }
    Ok(writer.damaged)
}

impl PieceWriter<'_> {
    fn add(&mut self, piece: Piece) -> Result<(), FileRestoreError> {
        let at = piece.range.start;
        let begun = BegunPiece { piece, at, stored: Vec::new() };
        if begun.piece.range.is_empty() {
            return self.finish(begun);
        }
        let is_before = |part: &FetchedPart| {
            (part.level, part.range.end) <= (begun.piece.level, begun.piece.range.start)
        };
        while self.part.as_ref().is_none_or(is_before) {
            self.next_part()?;
            if self.part.is_none() {
                break;
            }
        }
        self.feed(begun)
    }

    fn next_part(&mut self) -> Result<(), FileRestoreError> {
        // Its buffer may be the one that the next part needs.
        self.part = None;
        self.part = self.parts.blocking_recv();
        for begun in std::mem::take(&mut self.begun) {
            self.feed(begun)?;
        }
        Ok(())
    }

    /// Takes what the present part has of a piece.
    fn feed(&mut self, mut begun: BegunPiece) -> Result<(), FileRestoreError> {
        let is_in =
            |part: &&FetchedPart| part.level == begun.piece.level && part.range.contains(&begun.at);
        let Some(part) = self.part.as_ref().filter(is_in) else {
            let found = match &self.part {
                Some(part) => format!("bytes {:?} of backup {}", part.range, part.level + 1),
                None => "the end of the download".to_owned(),
            };
            let (level, expected) = (begun.piece.level, begun.at);
            return Err(FileRestoreError::PartOrder { level, expected, found });
        };
        let content = match &part.content {
            Ok(content) => content,
            Err(reason) => {
                self.damaged.entry(begun.piece.file).or_insert_with(|| reason.clone());
                return Ok(());
            }
        };
        let end = begun.piece.range.end.min(part.range.end);
        let in_part = |at: u64| (at - part.range.start) as usize;
        let bytes = &content[in_part(begun.at)..in_part(end)];
        match &begun.piece.encoding {
            Some(_) => begun.stored.extend_from_slice(bytes),
            None => {
                let piece = &begun.piece;
                let offset = piece.offset + (begun.at - piece.range.start);
                let written = self.staging.write(piece.file, bytes, offset);
                if let Err(source) = written {
                    return self.not_written(piece.file, source);
                }
            }
        }
        begun.at = end;
        if begun.at < begun.piece.range.end {
            self.begun.push(begun);
            return Ok(());
        }
        self.finish(begun)
    }

    /// Writes a piece whose data is complete.
    fn finish(
        &mut self,
        BegunPiece { piece, stored, .. }: BegunPiece,
    ) -> Result<(), FileRestoreError> {
        let Some(Encoding { decoded_bytes, skip, compression }) = piece.encoding.clone() else {
            return Ok(());
        };
        let is_same = |(last, bytes): &(Piece, Vec<u8>)| {
            (last.level, &last.range) == (piece.level, &piece.range)
                && bytes.len() as u64 == decoded_bytes
                && last.encoding.as_ref().is_some_and(|it| it.compression == compression)
        };
        if !self.decoded.as_ref().is_some_and(is_same) {
            let bytes = match decode(compression, &stored, decoded_bytes as usize) {
                Ok(bytes) => bytes,
                // The data was damaged before it was sent.
                Err(err) => {
                    self.damaged.entry(piece.file).or_insert_with(|| error_chain(&err));
                    return Ok(());
                }
            };
            self.decoded = Some((piece.clone(), bytes));
        }
        let Some((_, decoded)) = &self.decoded else { return Ok(()) };
        // `Piece::of` has checked that it lies within the data.
        let bytes = &decoded[skip as usize..][..piece.length as usize];
        match self.staging.write(piece.file, bytes, piece.offset) {
            Ok(()) => Ok(()),
            Err(source) => self.not_written(piece.file, source),
        }
    }

    /// Gives up a file that is too long for the filesystem. Any other failure ends the restore.
    fn not_written(&mut self, file: FileNumber, err: io::Error) -> Result<(), FileRestoreError> {
        if err.kind() != io::ErrorKind::FileTooLarge {
            return Err(FileRestoreError::Write { path: self.target.to_owned(), source: err });
        }
        let reason = || format!("write it: {err}; restore it to another filesystem");
        self.damaged.entry(file).or_insert_with(reason);
        Ok(())
    }
}
