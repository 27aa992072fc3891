//! Sorts records with bounded memory: full buffers are sorted and written to temporary files,
//! which are merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Memory for the records that are being collected.
const BUFFER_BYTES_MAX: usize = 32 << 20;
/// Number of files that are merged at once. Each needs the window of its decoder, 1 MiB.
const RUNS_MAX: usize = 32;
/// The files are short-lived, so speed counts more than their size.
const LEVEL: i32 = 1;

/// A record. Of several with one key, the one with the highest sequence number counts.
type Record = (Vec<u8>, u64, Vec<u8>);

/// Records that are being sorted, each a key and a value.
pub struct Sorter {
    /// Directory of the temporary files, which have no name there.
    directory: PathBuf,
    bytes: Vec<u8>,
    records: Vec<Buffered>,
    runs: Vec<File>,
    sequence: u64,
}

/// A record in the buffer: key, then value.
struct Buffered {
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
    sequence: u64,
}

impl Buffered {
    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start..][..self.key_bytes as usize]
    }

    fn value<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start + self.key_bytes as usize..][..self.value_bytes as usize]
    }
}

impl Sorter {
    pub fn new(directory: &Path) -> Sorter {
        Sorter {
            directory: directory.to_owned(),
            bytes: Vec::new(),
            records: Vec::new(),
            runs: Vec::new(),
            sequence: 0,
        }
    }

    /// Adds a record, which replaces an earlier one with the same key.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let short = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        self.records.push(Buffered {
            start,
            key_bytes: short(key)?,
            value_bytes: short(value)?,
            sequence: self.sequence,
        });
        self.sequence += 1;
        if self.bytes.len() + self.records.len() * size_of::<Buffered>() >= BUFFER_BYTES_MAX {
            self.spill()?;
        }
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.records.sort_unstable_by(|a, b| {
            a.key(bytes).cmp(b.key(bytes)).then(a.sequence.cmp(&b.sequence))
        });
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut run = RunWriter::new(&self.directory)?;
        for record in &self.records {
            run.put(record.key(&self.bytes), record.sequence, record.value(&self.bytes))?;
        }
        self.runs.push(run.finish()?);
        self.records.clear();
        self.bytes.clear();
        if self.runs.len() == RUNS_MAX {
            let mut merged = RunWriter::new(&self.directory)?;
            merge(std::mem::take(&mut self.runs), |(key, sequence, value)| {
                merged.put(&key, sequence, &value)
            })?;
            self.runs.push(merged.finish()?);
        }
        Ok(())
    }

    /// Hands out the records in the order of their keys, each key once.
    pub fn finish<E: From<io::Error>>(
        mut self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.runs.is_empty() {
            self.sort();
            for (n, record) in self.records.iter().enumerate() {
                let key = record.key(&self.bytes);
                let next = self.records.get(n + 1).map(|next| next.key(&self.bytes));
                if next != Some(key) {
                    each(key, record.value(&self.bytes))?;
                }
            }
            return Ok(());
        }
        self.spill()?;
        self.bytes = Vec::new();
        self.records = Vec::new();
        let mut last: Option<Record> = None;
        merge(std::mem::take(&mut self.runs), |record| {
            if let Some((key, _, value)) = last.take()
                && key != record.0
            {
                each(&key, &value)?;
            }
            last = Some(record);
            Ok::<_, E>(())
        })?;
        match last {
            Some((key, _, value)) => each(&key, &value),
            None => Ok(()),
        }
    }
}

struct RunWriter(zstd::Encoder<'static, File>);

impl RunWriter {
    fn new(directory: &Path) -> io::Result<RunWriter> {
        let mut encoder = zstd::Encoder::new(tempfile::tempfile_in(directory)?, LEVEL)?;
        encoder.window_log(20)?;
        Ok(RunWriter(encoder))
    }

    fn put(&mut self, key: &[u8], sequence: u64, value: &[u8]) -> io::Result<()> {
        // Both fit, as `put` of the sorter has checked.
        self.0.write_all(&(key.len() as u32).to_le_bytes())?;
        self.0.write_all(&(value.len() as u32).to_le_bytes())?;
        self.0.write_all(&sequence.to_le_bytes())?;
        self.0.write_all(key)?;
        self.0.write_all(value)
    }

    fn finish(self) -> io::Result<File> {
        let mut file = self.0.finish()?;
        file.rewind()?;
        Ok(file)
    }
}

struct RunReader(BufReader<zstd::Decoder<'static, BufReader<File>>>);

impl RunReader {
    fn next(&mut self) -> io::Result<Option<Record>> {
        let mut head = [0; 16];
        // The end of a run is before a record.
        if std::io::BufRead::fill_buf(&mut self.0)?.is_empty() {
            return Ok(None);
        }
        self.0.read_exact(&mut head)?;
        let [k0, k1, k2, k3, v0, v1, v2, v3, sequence @ ..] = head;
        let mut key = vec![0; u32::from_le_bytes([k0, k1, k2, k3]) as usize];
        let mut value = vec![0; u32::from_le_bytes([v0, v1, v2, v3]) as usize];
        self.0.read_exact(&mut key)?;
        self.0.read_exact(&mut value)?;
        Ok(Some((key, u64::from_le_bytes(sequence), value)))
    }
}

fn merge<E: From<io::Error>>(
    runs: Vec<File>,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut readers = Vec::new();
    for run in runs {
        readers.push(RunReader(BufReader::new(zstd::Decoder::new(run)?)));
    }
    let mut heads = BinaryHeap::new();
    for (n, reader) in readers.iter_mut().enumerate() {
        heads.extend(reader.next()?.map(|record| Reverse((record, n))));
    }
    while let Some(Reverse((record, n))) = heads.pop() {
        heads.extend(readers[n].next()?.map(|record| Reverse((record, n))));
        each(record)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_last_record_of_each_key_comes_in_order_from_memory_and_from_files() {
        for (count, is_spilled) in [(1000_u64, false), (600_000, true)] {
            let directory = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(directory.path());
            let mut want = BTreeMap::new();
            for n in 0..count {
                let key = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (count / 2)).to_be_bytes();
                sorter.put(&key, &[&n.to_le_bytes()[..], &[7; 40]].concat()).unwrap();
                want.insert(key.to_vec(), n);
            }
            assert_eq!(!sorter.runs.is_empty(), is_spilled);
            let mut found = Vec::new();
            let ended: io::Result<()> = sorter.finish(|key, value| {
                let (number, _) = value.split_first_chunk().unwrap();
                found.push((key.to_vec(), u64::from_le_bytes(*number)));
                Ok(())
            });
            ended.unwrap();
            assert_eq!(found, want.into_iter().collect::<Vec<_>>());
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
