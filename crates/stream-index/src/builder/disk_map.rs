//! A map from keys to values in temporary files, for what does not fit into memory.
//!
//! One file has the records one after the other, another one a hash table of their offsets. A key
//! keeps its offset: a value that is put again is overwritten if it fits.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Number of slots of the first table.
const SLOTS_FIRST: u64 = 1 << 14;
/// Length of a slot: hash of the key, and the offset of its record plus 1, or 0 if it is free.
const SLOT_BYTES: usize = 16;
/// Number of slots that are read at once.
const SLOTS_READ: usize = 4;
/// Length of the records that are collected before they are written.
const TAIL_BYTES: usize = 64 << 10;
/// Length of a record before its key: lengths of key and value, and the capacity for the value.
const HEAD_BYTES: usize = 12;
/// Length of the value of a key that was removed.
const ABSENT: u32 = u32::MAX;
/// The capacity for a value is a multiple of this, so that one that grows a little still fits.
const CAPACITY_STEP_BYTES: usize = 32;
/// Bytes that are read of a record first. Few records are longer.
const READ_BYTES: usize = 256;

pub(super) struct DiskMap {
    /// Directory of the temporary files, which have no name there.
    directory: PathBuf,
    hasher: RandomState,
    files: Option<Files>,
}

struct Files {
    table: Table,
    records: Records,
}

/// The slots of the records, by the hashes of their keys.
struct Table {
    file: File,
    /// Binary logarithm of the number of slots.
    bits: u32,
    used: u64,
}

struct Records {
    file: File,
    /// Length of what the file has.
    written: u64,
    tail: Vec<u8>,
}

/// The record of a key.
struct KeyRecord {
    offset: u64,
    capacity: usize,
    /// `None` if it was removed.
    value: Option<Vec<u8>>,
}

impl DiskMap {
    pub(super) fn new(directory: &Path) -> DiskMap {
        DiskMap { directory: directory.to_owned(), hasher: RandomState::new(), files: None }
    }

    /// Returns true if nothing was ever put.
    pub(super) fn is_unused(&self) -> bool {
        self.files.is_none()
    }

    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(files) = &self.files else { return Ok(None) };
        let found = files.find(self.hasher.hash_one(key), key)?;
        Ok(found.ok().and_then(|found| found.value))
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let hash = self.hasher.hash_one(key);
        if self.files.is_none() {
            let records = tempfile::tempfile_in(&self.directory)?;
            let records = Records { file: records, written: 0, tail: Vec::new() };
            self.files = Some(Files { table: Table::new(&self.directory, SLOTS_FIRST)?, records });
        }
        let Some(files) = &mut self.files else { return Ok(()) };
        let slot = match files.find(hash, key)? {
            Ok(found) if value.len() <= found.capacity => {
                return files.records.overwrite(&found, key, value);
            }
            Ok(found) => files.slot_of(hash, found.offset)?,
            Err(free) => {
                files.table.used += 1;
                free
            }
        };
        let offset = files.records.append(key, value)?;
        files.table.write(slot, hash, offset)?;
        // At most half of the slots are used, so that a search is short.
        if files.table.used * 2 > 1 << files.table.bits {
            files.table = files.table.doubled(&self.directory)?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> io::Result<()> {
        let hash = self.hasher.hash_one(key);
        let Some(files) = &mut self.files else { return Ok(()) };
        match files.find(hash, key)? {
            Ok(found) if found.value.is_some() => files.records.set_absent(found.offset),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Files {
    /// Returns the record of a key, or else the slot that is free for it.
    fn find(&self, hash: u64, key: &[u8]) -> io::Result<Result<KeyRecord, u64>> {
        let mut found = Err(0);
        self.table.search(hash, |slot, offset| {
            found = match offset {
                None => Err(slot),
                Some(offset) => match self.records.read(offset, key)? {
                    Some(record) => Ok(record),
                    // The record of another key with this hash.
                    None => return Ok(false),
                },
            };
            Ok(true)
        })?;
        Ok(found)
    }

    /// Returns the slot of a record.
    fn slot_of(&self, hash: u64, wanted: u64) -> io::Result<u64> {
        let mut found = 0;
        self.table.search(hash, |slot, offset| {
            found = slot;
            Ok(offset.is_none_or(|offset| offset == wanted))
        })?;
        Ok(found)
    }
}

impl Table {
    fn new(directory: &Path, slots: u64) -> io::Result<Table> {
        let file = tempfile::tempfile_in(directory)?;
        file.set_len(slots * SLOT_BYTES as u64)?;
        Ok(Table { file, bits: slots.ilog2(), used: 0 })
    }

    /// Calls `each` for the slots that may have a hash, with the offset of the record there, until
    /// it returns true. The last slot is free.
    fn search(
        &self,
        hash: u64,
        mut each: impl FnMut(u64, Option<u64>) -> io::Result<bool>,
    ) -> io::Result<()> {
        let count = 1_u64 << self.bits;
        let mut slot = hash >> (64 - self.bits);
        loop {
            let read = (count - slot).min(SLOTS_READ as u64);
            let mut bytes = [0; SLOT_BYTES * SLOTS_READ];
            let bytes = &mut bytes[..read as usize * SLOT_BYTES];
            self.file.read_exact_at(bytes, slot * SLOT_BYTES as u64)?;
            for entry in bytes.chunks_exact(SLOT_BYTES) {
                let (found, offset) = (number(&entry[..8]), number(&entry[8..]));
                let is_end = match offset.checked_sub(1) {
                    None => return each(slot, None).map(drop),
                    Some(offset) => found == hash && each(slot, Some(offset))?,
                };
                if is_end {
                    return Ok(());
                }
                slot = (slot + 1) % count;
            }
        }
    }

    fn write(&self, slot: u64, hash: u64, offset: u64) -> io::Result<()> {
        let mut entry = [0; SLOT_BYTES];
        entry[..8].copy_from_slice(&hash.to_le_bytes());
        entry[8..].copy_from_slice(&(offset + 1).to_le_bytes());
        self.file.write_all_at(&entry, slot * SLOT_BYTES as u64)
    }

    /// Returns a table with twice the slots. Neighbours stay neighbours in it.
    fn doubled(&self, directory: &Path) -> io::Result<Table> {
        let mut doubled = Table::new(directory, 2 << self.bits)?;
        let bytes = (1 << self.bits) * SLOT_BYTES as u64;
        let mut piece = vec![0; TAIL_BYTES];
        for at in (0..bytes).step_by(TAIL_BYTES) {
            let piece = &mut piece[..TAIL_BYTES.min((bytes - at) as usize)];
            self.file.read_exact_at(piece, at)?;
            for entry in piece.chunks_exact(SLOT_BYTES) {
                let (hash, offset) = (number(&entry[..8]), number(&entry[8..]));
                let Some(offset) = offset.checked_sub(1) else { continue };
                let mut free = 0;
                doubled.search(hash, |slot, found| {
                    free = slot;
                    Ok(found.is_none())
                })?;
                doubled.write(free, hash, offset)?;
                doubled.used += 1;
            }
        }
        Ok(doubled)
    }
}

impl Records {
    fn append(&mut self, key: &[u8], value: &[u8]) -> io::Result<u64> {
        let offset = self.written + self.tail.len() as u64;
        let capacity = value.len().next_multiple_of(CAPACITY_STEP_BYTES);
        self.tail.extend(head(key, value, capacity)?);
        self.tail.extend_from_slice(key);
        self.tail.extend_from_slice(value);
        self.tail.resize(self.tail.len() + capacity - value.len(), 0);
        if self.tail.len() >= TAIL_BYTES {
            self.file.write_all_at(&self.tail, self.written)?;
            self.written += self.tail.len() as u64;
            self.tail.clear();
        }
        Ok(offset)
    }

    /// Reads the record at an offset if it is that of the key.
    fn read(&self, offset: u64, key: &[u8]) -> io::Result<Option<KeyRecord>> {
        let mut bytes = self.bytes(offset, READ_BYTES)?;
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let length =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (key_bytes, value_bytes, capacity) =
            (length(0) as usize, length(4), length(8) as usize);
        if key_bytes != key.len() || !(rest.starts_with(key) || rest.len() < key.len()) {
            return Ok(None);
        }
        let start = HEAD_BYTES + key_bytes;
        let value_end = start + if value_bytes == ABSENT { 0 } else { value_bytes as usize };
        if bytes.len() < value_end {
            bytes = self.bytes(offset, value_end)?;
        }
        let found = bytes.get(HEAD_BYTES..start).zip(bytes.get(start..value_end));
        let (found, value) = found.ok_or(io::ErrorKind::UnexpectedEof)?;
        let value = (value_bytes != ABSENT).then(|| value.to_vec());
        Ok((found == key).then_some(KeyRecord { offset, capacity, value }))
    }

    /// Returns up to `count` bytes.
    fn bytes(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        if let Some(start) = offset.checked_sub(self.written) {
            let start = (start as usize).min(self.tail.len());
            return Ok(self.tail[start..(start + count).min(self.tail.len())].to_vec());
        }
        let count = count.min((self.written - offset) as usize);
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn overwrite(&mut self, found: &KeyRecord, key: &[u8], value: &[u8]) -> io::Result<()> {
        let head = head(key, value, found.capacity)?;
        self.write(found.offset, &[&head[..], key, value].concat())
    }

    fn set_absent(&mut self, offset: u64) -> io::Result<()> {
        self.write(offset + 4, &ABSENT.to_le_bytes())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match offset.checked_sub(self.written) {
            Some(start) => {
                self.tail[start as usize..][..bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            None => self.file.write_all_at(bytes, offset),
        }
    }
}

fn head(key: &[u8], value: &[u8], capacity: usize) -> io::Result<[u8; HEAD_BYTES]> {
    let mut head = [0; HEAD_BYTES];
    for (at, length) in [key.len(), value.len(), capacity].into_iter().enumerate() {
        let length = u32::try_from(length).map_err(io::Error::other)?;
        head[at * 4..][..4].copy_from_slice(&length.to_le_bytes());
    }
    Ok(head)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_behaves_like_a_map_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let mut map = DiskMap::new(directory.path());
        let mut want = HashMap::new();
        assert!(map.is_unused() && map.get(b"a").unwrap().is_none());
        map.remove(b"a").unwrap();
        for n in 0..120_000_u64 {
            let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let key = (mixed % 30_000).to_be_bytes().repeat(1 + (mixed % 3) as usize);
            match mixed % 5 {
                0 => {
                    map.remove(&key).unwrap();
                    want.remove(&key);
                }
                1 => assert_eq!(map.get(&key).unwrap().as_ref(), want.get(&key), "{n}"),
                _ => {
                    let value = n.to_le_bytes().repeat((mixed >> 8) as usize % 60);
                    map.put(&key, &value).unwrap();
                    want.insert(key, value);
                }
            }
        }
        assert!(want.len() > 10_000);
        for (key, value) in &want {
            assert_eq!(map.get(key).unwrap().as_ref(), Some(value));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
