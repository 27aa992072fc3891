//! Writes an index.

use std::io::{self, Write};

use s3up_core::{Sha256, Sha256Digest};

use super::block::BlockBuilder;
use super::directory::{BlockFacts, BlockForm, Directory, StreamId};
use super::{BLOCK_BYTES, BLOCK_BYTES_MAX, MAGIC, VERSION};

/// Length of all keys from which a block ends.
const KEYS_BYTES: usize = 1 << 20;
/// Compresses names well at some 300 MB/s.
const LEVEL: i32 = 3;

/// Length and digests of a written index, which its manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFacts {
    pub bytes: u64,
    pub sha256: Sha256Digest,
    /// SHA-256 of the directory, which has those of all blocks.
    pub directory_sha256: Sha256Digest,
    pub directory_bytes: u64,
}

pub struct TableWriter<W> {
    out: W,
    hasher: Sha256,
    written: u64,
    block: BlockBuilder,
    compressor: zstd::bulk::Compressor<'static>,
    directory: Directory,
}

impl<W: Write> TableWriter<W> {
    pub fn new(out: W, stream: StreamId) -> io::Result<TableWriter<W>> {
        let mut writer = TableWriter {
            out,
            hasher: Sha256::default(),
            written: 0,
            block: BlockBuilder::default(),
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            directory: Directory { stream, blocks: Vec::new() },
        };
        writer.write(MAGIC)?;
        writer.write(&VERSION.to_le_bytes())?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Adds a record with a key above the last one.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.block.put(key, value);
        let is_full =
            self.block.content_bytes() >= BLOCK_BYTES || self.block.keys_bytes() >= KEYS_BYTES;
        if is_full { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some((first_key, content)) = self.block.take() else { return Ok(()) };
        if content.len() as u64 > BLOCK_BYTES_MAX {
            // No reader would accept it.
            let found = content.len();
            return Err(io::Error::other(format!(
                "write a block of an index: expected at most {BLOCK_BYTES_MAX} bytes, found {found}"
            )));
        }
        let stored = self.compressor.compress(&content)?;
        self.directory.blocks.push(BlockFacts {
            first_key,
            offset: self.written,
            stored_bytes: stored.len() as u64,
            bytes: content.len() as u64,
            form: BlockForm::Zstd,
            sha256: Sha256Digest::of(&stored),
        });
        self.write(&stored)
    }

    pub fn finish(mut self) -> io::Result<(W, IndexFacts)> {
        self.end_block()?;
        let directory = self.directory.encode();
        let (offset, directory_bytes) = (self.written, directory.len() as u64);
        let directory_sha256 = Sha256Digest::of(&directory);
        self.write(&directory)?;
        self.write(&offset.to_le_bytes())?;
        self.write(&directory_bytes.to_le_bytes())?;
        self.write(&directory_sha256.0)?;
        self.write(&VERSION.to_le_bytes())?;
        self.write(MAGIC)?;
        self.out.flush()?;
        let (bytes, sha256) = (self.written, self.hasher.finish());
        Ok((self.out, IndexFacts { bytes, sha256, directory_sha256, directory_bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamId {
        StreamId { bytes: 1, uuid: [1; 16], ctransid: 2, is_incremental: false }
    }

    #[test]
    fn a_record_that_no_reader_would_accept_is_refused() {
        let mut writer = TableWriter::new(Vec::new(), stream()).unwrap();
        writer.put(b"a", &vec![0; BLOCK_BYTES_MAX as usize / 2]).unwrap();

        let refused = writer.put(b"b", &vec![0; BLOCK_BYTES_MAX as usize]).unwrap_err();

        let text = refused.to_string();
        assert!(text.starts_with("write a block of an index: expected at most 16777216"), "{text}");
    }
}
