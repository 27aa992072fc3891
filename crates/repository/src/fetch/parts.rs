//! Downloads only those parts of chunks that hold certain ranges of the streams of a chain.
//!
//! [`RequiredParts`] collects the ranges, [`PartPlan`] checks the chunks, and [`PartDownload`]
//! returns each part once, in the order of the streams, after its SHA-256 agreed. A chunk without
//! a part index is downloaded as a whole, since only its own SHA-256 is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3up_core::{Key, Sha256Digest};
use s3up_store::{DownloadSequence, Get, ObjectFacts, Store, StoreErrorKind};

use super::{
    FetchError, PartIndexes, WantedRange, buffers_bytes, check_chunk, get, part_bytes, part_digests,
};
use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::manifest::ChunkFacts;
use crate::thaw::RequiredObjects;

/// Number of runs of parts that are requested as one sequence.
const RUNS_MAX: usize = 256;

/// The parts that hold certain ranges of the streams of a chain.
#[derive(Debug)]
pub struct RequiredParts {
    levels: Vec<LevelParts>,
}

/// The parts of one stream, by the number of their chunk.
#[derive(Debug)]
struct LevelParts {
    entry: ChainEntry,
    chunks: Vec<ChunkInStream>,
    parts: BTreeMap<usize, BTreeSet<u64>>,
    /// The range of the part that was added last, which the next range usually is in, too.
    last: Option<Range<u64>>,
}

/// A chunk, and its place in the stream.
#[derive(Debug)]
struct ChunkInStream {
    start: u64,
    facts: ChunkFacts,
    part_bytes: u64,
}

/// An index names bytes that its stream does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "the index of {manifest}: expected ranges of the {bytes} bytes of the stream, found {found:?}"
)]
pub struct OutsideStream {
    manifest: Key,
    bytes: u64,
    found: Range<u64>,
}

impl RequiredParts {
    /// Starts without any part of these entries.
    pub fn new(entries: &[ChainEntry]) -> Result<RequiredParts, FetchError> {
        let level = |entry: &ChainEntry| {
            let document = |source| FetchError::Document { key: entry.key.clone(), source };
            let (mut start, mut chunks) = (0, Vec::new());
            let facts = entry.manifest.chunk_facts().map_err(document)?;
            for (facts, record) in facts.into_iter().zip(&entry.manifest.chunks) {
                let (size, part_bytes) = (facts.size, part_bytes(record));
                chunks.push(ChunkInStream { start, facts, part_bytes });
                start = start.saturating_add(size);
            }
            let entry = entry.clone();
            Ok::<_, FetchError>(LevelParts { entry, chunks, parts: BTreeMap::new(), last: None })
        };
        Ok(RequiredParts { levels: entries.iter().map(level).collect::<Result<_, _>>()? })
    }

    /// Adds the parts that hold a range of the stream of a level.
    pub fn add(&mut self, level: usize, range: Range<u64>) -> Result<(), OutsideStream> {
        self.levels[level].add(range)
    }

    /// Returns the chunks, with their documents.
    pub fn objects(&self) -> RequiredObjects {
        let mut required = RequiredObjects::default();
        for level in self.levels.iter().filter(|level| !level.parts.is_empty()) {
            for number in level.parts.keys() {
                let facts = &level.chunks[*number].facts;
                required.chunks.insert(facts.key.clone(), facts.size);
            }
            required.documents.insert(level.entry.key.clone());
            required.documents.extend(level.entry.manifest.parts_key().and_then(Result::ok));
        }
        required
    }

    /// Returns the length of all parts.
    pub fn bytes(&self) -> u64 {
        let of_level = |level: &LevelParts| {
            let chunks = level.parts.iter();
            let of_chunk = |(number, parts): (&usize, &BTreeSet<u64>)| {
                let chunk = &level.chunks[*number];
                parts.iter().map(|part| chunk.part(*part)).map(|it| it.end - it.start).sum::<u64>()
            };
            chunks.map(of_chunk).sum::<u64>()
        };
        self.levels.iter().map(of_level).sum()
    }
}

impl LevelParts {
    fn add(&mut self, range: Range<u64>) -> Result<(), OutsideStream> {
        let is_within = |last: &Range<u64>| last.start <= range.start && range.end <= last.end;
        if range.is_empty() || self.last.as_ref().is_some_and(is_within) {
            return Ok(());
        }
        let bytes = self.chunks.last().map_or(0, |last| last.start + last.facts.size);
        if range.end > bytes {
            let manifest = self.entry.key.clone();
            return Err(OutsideStream { manifest, bytes, found: range });
        }
        let mut at = range.start;
        while at < range.end {
            let number = self.chunks.partition_point(|chunk| chunk.start <= at) - 1;
            let chunk = &self.chunks[number];
            let parts = self.parts.entry(number).or_default();
            if self.entry.manifest.parts.is_none() {
                parts.extend(0..chunk.facts.size.div_ceil(chunk.part_bytes));
                at = chunk.start + chunk.facts.size;
                self.last = Some(chunk.start..at);
                continue;
            }
            let part = (at - chunk.start) / chunk.part_bytes;
            parts.insert(part);
            let Range { start, end } = chunk.part(part);
            self.last = Some(chunk.start + start..chunk.start + end);
            at = chunk.start + end;
        }
        Ok(())
    }
}

impl ChunkInStream {
    /// Returns the range of a part in its chunk.
    fn part(&self, part: u64) -> Range<u64> {
        let start = part * self.part_bytes;
        start..(start + self.part_bytes).min(self.facts.size)
    }
}

/// The chunks that hold the parts, checked to exist.
pub struct PartPlan {
    pub chunks: Vec<PlannedChunk>,
    store: Store,
    retry_for: Duration,
    concurrency: usize,
}

/// A chunk of which parts are downloaded.
pub struct PlannedChunk {
    pub level: usize,
    pub manifest: Key,
    pub facts: ChunkFacts,
    pub object: ObjectFacts,
    /// Length of the parts to download.
    pub bytes: u64,
    start: u64,
    part_bytes: u64,
    part_sha256: Option<Arc<[Sha256Digest]>>,
    /// Runs of neighbouring parts, by their numbers.
    runs: Vec<Range<u64>>,
}

impl PartPlan {
    /// Checks every chunk that is needed, before any is downloaded.
    pub async fn check(
        bucket: &Bucket,
        required: &RequiredParts,
        concurrency: usize,
    ) -> Result<PartPlan, FetchError> {
        PartPlan::read(bucket, required, concurrency, PartIndexes::Needed).await
    }

    /// Does the same and tolerates archived part indexes. It serves to describe a restore.
    pub async fn survey(
        bucket: &Bucket,
        required: &RequiredParts,
        concurrency: usize,
    ) -> Result<PartPlan, FetchError> {
        PartPlan::read(bucket, required, concurrency, PartIndexes::IfReadable).await
    }

    async fn read(
        bucket: &Bucket,
        required: &RequiredParts,
        concurrency: usize,
        indexes: PartIndexes,
    ) -> Result<PartPlan, FetchError> {
        let mut chunks = Vec::new();
        for (level, parts) in required.levels.iter().enumerate() {
            if parts.parts.is_empty() {
                continue;
            }
            let digests = part_digests(bucket, &parts.entry, indexes).await?;
            for (number, numbers) in &parts.parts {
                let chunk = &parts.chunks[*number];
                let bytes = |part: &u64| chunk.part(*part).end - chunk.part(*part).start;
                chunks.push(PlannedChunk {
                    level,
                    manifest: parts.entry.key.clone(),
                    object: check_chunk(bucket, &parts.entry, &chunk.facts).await?,
                    facts: chunk.facts.clone(),
                    bytes: numbers.iter().map(bytes).sum(),
                    start: chunk.start,
                    part_bytes: chunk.part_bytes,
                    part_sha256: digests.as_ref().map(|chunks| Arc::clone(&chunks[*number])),
                    runs: runs(numbers),
                });
            }
        }
        let longest = chunks.iter().map(|chunk| chunk.part_bytes).max();
        let store = bucket.store.with_buffer_budget(buffers_bytes(longest, concurrency));
        Ok(PartPlan { chunks, store, retry_for: bucket.retry_for, concurrency })
    }

    /// Returns the length of all parts.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// Downloads the parts.
    pub fn download(&self) -> PartDownload<'_> {
        let chunks = self.chunks.iter().enumerate();
        let runs = chunks.flat_map(|(n, chunk)| chunk.runs.iter().map(move |run| (n, run.clone())));
        PartDownload { plan: self, waiting: runs.collect(), current: None }
    }

    fn get(&self, chunk: &PlannedChunk, run: &Range<u64>) -> Get {
        let digests = chunk.part_sha256.as_ref();
        let wanted = WantedRange {
            range: chunk.range_of(run),
            part_bytes: chunk.part_bytes,
            part_sha256: digests.map(|it| it[run.start as usize..run.end as usize].into()),
        };
        get(&chunk.facts, &chunk.object, wanted, self.concurrency, self.retry_for)
    }
}

impl PlannedChunk {
    /// Returns the range of parts in the chunk.
    fn range_of(&self, run: &Range<u64>) -> Range<u64> {
        run.start * self.part_bytes..(run.end * self.part_bytes).min(self.facts.size)
    }
}

/// Groups neighbouring numbers.
fn runs(numbers: &BTreeSet<u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        match runs.last_mut().filter(|last| last.end == *number) {
            Some(last) => last.end += 1,
            None => runs.push(*number..number + 1),
        }
    }
    runs
}

/// One part of the stream of a level.
#[derive(Debug)]
pub struct FetchedPart {
    pub level: usize,
    /// Its place in the stream.
    pub range: Range<u64>,
    /// Its bytes, or in which way it is damaged.
    pub content: Result<Bytes, String>,
}

/// A running download of parts.
pub struct PartDownload<'p> {
    plan: &'p PartPlan,
    /// Runs that were not requested so far, with the number of their chunk.
    waiting: VecDeque<(usize, Range<u64>)>,
    current: Option<Current>,
}

/// A sequence of runs that is being downloaded.
struct Current {
    sequence: DownloadSequence,
    /// The runs whose parts were not all returned. The first part of the first one is next.
    runs: VecDeque<(usize, Range<u64>)>,
}

impl PartDownload<'_> {
    /// Returns the next part, or `None` at the end. A damaged part is returned as such; the
    /// download continues after it, unless only the digest of its whole chunk is known.
    pub async fn next(&mut self) -> Result<Option<FetchedPart>, FetchError> {
        if self.current.as_ref().is_none_or(|current| current.runs.is_empty()) {
            let count = self.waiting.len().min(RUNS_MAX);
            let runs: VecDeque<_> = self.waiting.drain(..count).collect();
            self.current = (!runs.is_empty()).then(|| self.begin(runs));
        }
        let Some(current) = &mut self.current else { return Ok(None) };
        let fetched = current.sequence.next().await;
        let Some((number, run)) = current.runs.front_mut() else { return Ok(None) };
        let (number, part) = (*number, run.start);
        run.start += 1;
        if run.is_empty() {
            current.runs.pop_front();
        }
        let chunk = &self.plan.chunks[number];
        let in_chunk = chunk.range_of(&(part..part + 1));
        let range = chunk.start + in_chunk.start..chunk.start + in_chunk.end;
        let content = match fetched {
            Ok(Some(found)) => Ok(found.bytes),
            Ok(None) => return Ok(None),
            Err(err) if err.kind == StoreErrorKind::Corrupt && chunk.part_sha256.is_some() => {
                // A sequence ends with its first error.
                let runs = std::mem::take(&mut current.runs);
                self.current = (!runs.is_empty()).then(|| self.begin(runs));
                Err(s3up_core::error_chain(&err))
            }
            Err(source) => {
                let manifest = chunk.manifest.clone();
                return Err(FetchError::Download { manifest, source });
            }
        };
        Ok(Some(FetchedPart { level: chunk.level, range, content }))
    }

    fn begin(&self, runs: VecDeque<(usize, Range<u64>)>) -> Current {
        let gets = runs.iter().map(|(n, run)| self.plan.get(&self.plan.chunks[*n], run)).collect();
        Current { sequence: self.plan.store.download_sequence(gets), runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::manifest_with_chunks;

    #[test]
    fn the_parts_that_hold_a_range_are_required_each_once() {
        // Two chunks of 100 bytes, in parts of 30: 30, 30, 30, 10.
        let entry = manifest_with_chunks(&[100, 50], Some(30));
        let entries = [entry];
        let ends =
            |runs: Vec<Range<_>>| runs.into_iter().map(|it| (it.start, it.end)).collect::<Vec<_>>();
        let required = |ranges: &[(u64, u64)]| {
            let mut required = RequiredParts::new(&entries).unwrap();
            ranges.iter().for_each(|(start, end)| required.add(0, *start..*end).unwrap());
            let parts = required.levels[0].parts.iter();
            let parts = parts.map(|(chunk, parts)| (*chunk, ends(runs(parts)))).collect::<Vec<_>>();
            (parts, required.bytes())
        };

        assert_eq!(required(&[(0, 0)]), (vec![], 0));
        assert_eq!(required(&[(0, 1), (29, 30), (3, 4)]), (vec![(0, vec![(0, 1)])], 30));
        assert_eq!(required(&[(29, 31)]), (vec![(0, vec![(0, 2)])], 60));
        assert_eq!(required(&[(0, 1), (65, 66)]), (vec![(0, vec![(0, 1), (2, 3)])], 60));
        assert_eq!(required(&[(95, 105)]), (vec![(0, vec![(3, 4)]), (1, vec![(0, 1)])], 40));
        assert_eq!(required(&[(0, 150)]).1, 150);
        let mut beyond = RequiredParts::new(&entries).unwrap();
        assert!(beyond.add(0, 149..151).unwrap_err().to_string().contains("150 bytes"));
    }

    #[test]
    fn a_chunk_without_a_part_index_is_required_as_a_whole() {
        let entries = [manifest_with_chunks(&[100, 50], None)];
        let mut required = RequiredParts::new(&entries).unwrap();
        required.add(0, 120..121).unwrap();
        assert_eq!(required.bytes(), 50);
        assert_eq!(required.objects().chunks.values().collect::<Vec<_>>(), [&50]);
    }
}
