//! Reads an index: its directory first, then only the blocks that are asked for.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use s3up_core::{Sha256, Sha256Digest};

use super::block::Block;
use super::cache::{BlockCache, CacheLimits};
use super::directory::{BlockForm, Directory, StreamId};
use super::{
    BLOCK_BYTES_MAX, DIRECTORY_BYTES_MAX, HEADER_BYTES, MAGIC, STORED_BYTES_MAX, TRAILER_BYTES,
    TableError, VERSION,
};
use crate::codec::Malformed;

/// Number of blocks that one scan reads at once after it has read several.
const AHEAD_MAX: usize = 128;
/// Bytes that a scan reads at once.
const SCAN_BYTES_MAX: u64 = 4 << 20;
/// Maximum length of their content.
const SCAN_CONTENT_BYTES_MAX: u64 = 16 << 20;
/// Bytes of the end of an index that are read first: trailer and most directories.
const TAIL_BYTES: u64 = 64 << 10;

/// A file or an object, of which ranges are read.
pub trait ReadAt: Send + Sync {
    fn bytes(&self) -> u64;
    fn read_at(&self, range: Range<u64>) -> io::Result<Vec<u8>>;
}

pub struct Table {
    name: String,
    source: Box<dyn ReadAt>,
    directory: Directory,
    cache: Mutex<BlockCache>,
}

fn damaged(name: &str, expected: impl Into<String>, found: impl Into<String>) -> TableError {
    let (expected, found) = (expected.into(), found.into());
    TableError::Damaged { name: name.to_owned(), expected, found }
}

fn malformed(name: &str, Malformed(expected): Malformed) -> TableError {
    damaged(name, expected, "other bytes")
}

fn read(name: &str, source: &dyn ReadAt, range: Range<u64>) -> Result<Vec<u8>, TableError> {
    let unreadable = |source| TableError::Unreadable { name: name.to_owned(), source };
    source.read_at(range).map_err(unreadable)
}

impl Table {
    /// Opens an index, by which errors name it. `directory_sha256` is the one that its manifest
    /// names, if it does.
    pub fn open(
        name: String,
        source: Box<dyn ReadAt>,
        directory_sha256: Option<Sha256Digest>,
    ) -> Result<Table, TableError> {
        let bytes = source.bytes();
        if bytes < HEADER_BYTES + TRAILER_BYTES {
            return Err(damaged(&name, "a whole index", format!("{bytes} bytes")));
        }
        let tail_start = bytes.saturating_sub(TAIL_BYTES);
        let tail = read(&name, &*source, tail_start..bytes)?;
        let mut trailer = &tail[tail.len() - TRAILER_BYTES as usize..];
        let mut take = |count: usize| {
            let (taken, rest) = trailer.split_at(count);
            trailer = rest;
            taken
        };
        let offset = number(take(8));
        let length = number(take(8));
        let sha256 = Sha256Digest(take(32).try_into().expect("32 bytes"));
        let version = u32::from_le_bytes(take(4).try_into().expect("4 bytes"));
        if take(8) != MAGIC {
            return Err(damaged(&name, "the trailer of an index", "other bytes"));
        }
        if version != VERSION {
            return Err(TableError::Version { name, found: version });
        }
        let end = offset.checked_add(length).filter(|end| *end == bytes - TRAILER_BYTES);
        if end.is_none() || length > DIRECTORY_BYTES_MAX || offset < HEADER_BYTES {
            return Err(damaged(
                &name,
                "a directory before the trailer",
                format!("{length} bytes at {offset}"),
            ));
        }
        let directory = match offset.checked_sub(tail_start) {
            Some(start) => tail[start as usize..][..length as usize].to_vec(),
            None => read(&name, &*source, offset..offset + length)?,
        };
        let found = Sha256Digest::of(&directory);
        let expected = directory_sha256.unwrap_or(sha256);
        if found != expected {
            let expected = format!("a directory with the SHA-256 {expected}");
            return Err(damaged(&name, expected, found.to_string()));
        }
        let directory = Directory::decode(&directory).map_err(|err| malformed(&name, err))?;
        check_blocks(&name, &directory, offset)?;
        let cache = Mutex::new(BlockCache::new(CacheLimits::of_one()));
        Ok(Table { name, source, directory, cache })
    }

    /// Limits the blocks that are kept in memory, in place of the limits of an index that is read
    /// alone.
    pub fn limit_cache(&mut self, limits: CacheLimits) {
        self.cache = Mutex::new(BlockCache::new(limits));
    }

    /// Returns the length of the blocks that are kept in memory.
    pub fn cached_bytes(&self) -> usize {
        self.cache().bytes()
    }

    pub fn stream(&self) -> &StreamId {
        &self.directory.stream
    }

    pub fn bytes(&self) -> u64 {
        self.source.bytes()
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let Some(n) = self.block_of(key) else { return Ok(None) };
        let block = self.block(n)?;
        let at = block.find(key);
        let is_found = at < block.count() && block.key(at) == key;
        Ok(is_found.then(|| block.value(at).to_vec()))
    }

    /// Returns true if a key starts like this.
    pub fn has_prefix(&self, prefix: &[u8]) -> Result<bool, TableError> {
        let mut is_found = false;
        self.scan(prefix, |_, _| {
            is_found = true;
            Ok::<_, TableError>(false)
        })?;
        Ok(is_found)
    }

    /// Calls `each` for each record whose key starts like this, until it returns false. Blocks
    /// are read several at a time once a scan has read some.
    pub fn scan<E: From<TableError>>(
        &self,
        prefix: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.scan_from(prefix, prefix, each)
    }

    /// Does the same from a key on, which starts like this, too.
    pub fn scan_from<E: From<TableError>>(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut n = self.block_of(from).unwrap_or(0);
        let mut ahead = 1;
        while n < self.directory.blocks.len() {
            let first = &self.directory.blocks[n].first_key;
            if first.as_slice() > prefix && !first.starts_with(prefix) {
                return Ok(());
            }
            let kept = self.cache().get(n);
            let blocks = match kept {
                Some(block) => vec![block],
                None => self.read_ahead(n, &mut ahead)?,
            };
            for block in blocks {
                for at in block.find(from)..block.count() {
                    let key = block.key(at);
                    if !key.starts_with(prefix) || !each(key, block.value(at))? {
                        return Ok(());
                    }
                }
                n += 1;
            }
        }
        Ok(())
    }

    /// Reads blocks from number `n` on: one at first, and more if the scan, or scans that continue
    /// each other, have read the blocks before.
    fn read_ahead(&self, n: usize, ahead: &mut usize) -> Result<Vec<Arc<Block>>, TableError> {
        let count = self.cache().ahead(n).max(*ahead);
        let blocks = self.blocks(n, count)?;
        let mut cache = self.cache();
        if count <= cache.kept_ahead_max() {
            (n..).zip(&blocks).for_each(|(n, block)| cache.add(n, block));
        }
        cache.note_read(n + blocks.len(), count);
        *ahead = (count * 2).min(AHEAD_MAX);
        Ok(blocks)
    }

    /// Returns a digest of all records. Reads and verifies every block.
    pub fn records_sha256(&self) -> Result<Sha256Digest, TableError> {
        let mut hasher = Sha256::default();
        self.scan(b"", |key, value| {
            for field in [key, value] {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field);
            }
            Ok::<_, TableError>(true)
        })?;
        Ok(hasher.finish())
    }

    /// Returns the number of the block that holds a key if any does.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        let blocks = &self.directory.blocks;
        blocks.partition_point(|block| block.first_key.as_slice() <= key).checked_sub(1)
    }

    fn block(&self, n: usize) -> Result<Arc<Block>, TableError> {
        if let Some(block) = self.cache().get(n) {
            return Ok(block);
        }
        let mut read = self.blocks(n, 1)?;
        let block = read.pop().ok_or_else(|| damaged(&self.name, "a block", "none"))?;
        self.cache().add(n, &block);
        Ok(block)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, BlockCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads up to `count` blocks from number `from` on, with one call.
    fn blocks(&self, from: usize, count: usize) -> Result<Vec<Arc<Block>>, TableError> {
        if count == 1
            && let Some(block) = self.cache().get(from)
        {
            return Ok(vec![block]);
        }
        let wanted = self.directory.blocks.iter().skip(from).take(count);
        let (mut stored, mut content) = (0, 0);
        let wanted: Vec<_> = wanted
            .take_while(|block| {
                let is_first = stored == 0;
                stored += block.stored_bytes;
                content += block.bytes;
                is_first || (stored <= SCAN_BYTES_MAX && content <= SCAN_CONTENT_BYTES_MAX)
            })
            .collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(Vec::new());
        };
        let start = first.offset;
        let range = start..last.offset + last.stored_bytes;
        let stored = read(&self.name, &*self.source, range)?;
        let unusable = |err: io::Error| damaged(&self.name, "content of zstd", err.to_string());
        let mut decompressor = zstd::bulk::Decompressor::new().map_err(unusable)?;
        let mut decode = |facts: &&super::directory::BlockFacts| {
            let stored = &stored[(facts.offset - start) as usize..][..facts.stored_bytes as usize];
            let found = Sha256Digest::of(stored);
            if found != facts.sha256 {
                let expected = format!("a block with the SHA-256 {}", facts.sha256);
                return Err(damaged(&self.name, expected, found.to_string()));
            }
            if let BlockForm::Unknown(found) = facts.form {
                return Err(TableError::Form { name: self.name.clone(), found });
            }
            let content =
                decompressor.decompress(stored, facts.bytes as usize).map_err(unusable)?;
            if content.len() as u64 != facts.bytes {
                let expected = format!("a block of {} bytes", facts.bytes);
                return Err(damaged(&self.name, expected, format!("{} bytes", content.len())));
            }
            let block = Block::decode(content).map_err(|err| malformed(&self.name, err))?;
            Ok(Arc::new(block))
        };
        wanted.iter().map(&mut decode).collect()
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

/// Checks that the blocks lie one after the other, with ascending keys.
fn check_blocks(name: &str, directory: &Directory, end: u64) -> Result<(), TableError> {
    let mut offset = HEADER_BYTES;
    let mut last: Option<&[u8]> = None;
    for block in &directory.blocks {
        if block.offset != offset {
            return Err(damaged(
                name,
                format!("a block at {offset}"),
                format!("one at {}", block.offset),
            ));
        }
        if block.bytes > BLOCK_BYTES_MAX || !(1..=STORED_BYTES_MAX).contains(&block.stored_bytes) {
            return Err(damaged(
                name,
                format!("a block of at most {BLOCK_BYTES_MAX} bytes"),
                format!("one of {} bytes, stored in {}", block.bytes, block.stored_bytes),
            ));
        }
        if last.is_some_and(|last| last >= block.first_key.as_slice()) {
            return Err(damaged(name, "ascending keys", "others"));
        }
        last = Some(&block.first_key);
        offset = offset.checked_add(block.stored_bytes).filter(|next| *next <= end).ok_or_else(
            || {
                damaged(
                    name,
                    format!("blocks of {end} bytes"),
                    format!("one of {}", block.stored_bytes),
                )
            },
        )?;
    }
    if offset != end {
        return Err(damaged(name, format!("blocks up to {end}"), format!("blocks up to {offset}")));
    }
    Ok(())
}

impl ReadAt for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let found = self.get(range.start as usize..range.end as usize);
        found.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl ReadAt for std::fs::File {
    fn bytes(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_at(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        std::os::unix::fs::FileExt::read_exact_at(self, &mut bytes, range.start)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
