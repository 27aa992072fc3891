//! Downloads objects in order, one or several as one stream.
//!
//! Ranges are fetched a few ahead of the reader. Each is pinned to the version (or
//! ETag) that [`ObjectFacts`] describes, so that a concurrent overwrite cannot mix
//! two contents. The first ranges of the next object are requested while the last
//! ones of this one are being fetched. If the whole object is read and its digest
//! is known, the last range is returned only after the whole was verified: a reader
//! that got all bytes got the right ones.
//!
//! Buffers are taken in the order of the ranges, so a download that holds a buffer
//! can always continue with the range that its reader needs next.
//!
//! Not here: how one range is fetched (`range`).
//!
//! [`ObjectFacts`]: crate::ObjectFacts

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use s3up_core::{Crc64Nvme, Key, Sha256Digest};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::buffers::hashing::{self, CRC64_OF_NOTHING, Digests, Sha256Chain};
use crate::buffers::pool::PoolError;
use crate::download::get::Get;
use crate::download::range::FetchedRange;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::connect::Store;

/// A running download of one object.
pub struct Download(DownloadSequence);

/// A running download of several objects as one stream.
pub struct DownloadSequence {
    store: Store,
    gets: Vec<Arc<Get>>,
    fetches: VecDeque<Fetch>,
    /// Position at which the next request starts.
    requested: Position,
    /// Position of the next bytes for the reader.
    read: Position,
    check: ObjectCheck,
}

/// A range that is being fetched or waits for the reader.
struct Fetch {
    fetched: AbortOnDropHandle<Result<FetchedRange, StoreError>>,
    /// Signals that the reader waits for it.
    demand: watch::Sender<bool>,
}

/// Bytes of one object of a sequence.
#[derive(Debug)]
pub struct ObjectBytes {
    /// Index of the object in the sequence.
    pub object: usize,
    pub bytes: Bytes,
}

/// A position in a sequence of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    object: usize,
    /// Bytes of this object's range before the position.
    passed: u64,
}

/// The verification of a whole object.
enum ObjectCheck {
    Crc64 {
        expected: Crc64Nvme,
        found: Crc64Nvme,
    },
    Sha256 {
        expected: Sha256Digest,
        chain: Sha256Chain,
    },
    /// The download reads only a range of the object, or no digest is known.
    None,
}

impl Store {
    pub fn download(&self, get: Get) -> Download {
        Download(self.download_sequence(vec![get]))
    }

    /// Reads objects one after the other as one stream. The `in_flight` of the
    /// object that is being read limits the requests over all of them.
    pub fn download_sequence(&self, gets: Vec<Get>) -> DownloadSequence {
        DownloadSequence {
            store: self.clone(),
            gets: gets.into_iter().map(Arc::new).collect(),
            fetches: VecDeque::new(),
            requested: Position::default(),
            read: Position::default(),
            check: ObjectCheck::None,
        }
    }
}

impl Download {
    /// Returns the next bytes, or `None` at the end. Must not be called again after
    /// an error, or after a call that was dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.next().await?.map(|next| next.bytes))
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        futures::stream::try_unfold(self, |mut download| async move {
            Ok(download.next().await?.map(|bytes| (bytes, download)))
        })
    }
}

impl DownloadSequence {
    /// Returns the next bytes, all of the same object, or `None` at the end. Must
    /// not be called again after an error, or after a call that was dropped. The
    /// last bytes of an object come only after the whole object was verified.
    pub async fn next(&mut self) -> Result<Option<ObjectBytes>, StoreError> {
        let Some((object, range)) = next_range(&self.gets, self.read) else {
            return Ok(None);
        };
        let get = Arc::clone(&self.gets[object]);
        self.fetch_ahead(&get).await?;
        let front = self.fetches.pop_front().expect("fetch_ahead has requested the next range");
        front.demand.send_replace(true);
        let FetchedRange { bytes, crc64nvme } = match front.fetched.await {
            Ok(outcome) => outcome?,
            Err(err) => {
                return Err(StoreError::new(Operation::Get, &get.key, StoreErrorKind::Permanent)
                    .with_cause(err));
            }
        };
        if range.start == get.range.start {
            self.check = ObjectCheck::of(&get);
        }
        self.check.add(&bytes, crc64nvme);
        self.read = Position { object, passed: range.end - get.range.start };
        if range.end == get.range.end {
            std::mem::replace(&mut self.check, ObjectCheck::None).finish(&get.key).await?;
        }
        Ok(Some(ObjectBytes { object, bytes }))
    }

    /// Requests ranges until enough are in flight. Only the range that the reader
    /// needs now waits for a buffer.
    async fn fetch_ahead(&mut self, reading: &Get) -> Result<(), StoreError> {
        while self.fetches.len() < reading.in_flight.max(1) {
            let Some((object, range)) = next_range(&self.gets, self.requested) else { break };
            let get = Arc::clone(&self.gets[object]);
            let (pool, share) = (&self.store.pool, get.share.as_ref());
            let len = range.end - range.start;
            let buffer = if self.fetches.is_empty() {
                // The reader has a part of the stream already, unless this is the first one.
                let limit = get.buffer_wait.filter(|_| self.read == Position::default());
                pool.take_within(len, share, limit).await.map(Some)
            } else {
                pool.try_take(len, share)
            };
            let Some(buffer) = buffer.map_err(|err| no_buffer(&get.key, &err))? else { break };
            self.requested = Position { object, passed: range.end - get.range.start };
            let (demand, receiver) = watch::channel(false);
            let fetch = self.store.clone().fetch(get, range, buffer, receiver);
            let fetched = AbortOnDropHandle::new(tokio::spawn(fetch));
            self.fetches.push_back(Fetch { fetched, demand });
        }
        Ok(())
    }
}

/// Returns the range that starts at `at` and the index of its object, or `None` at
/// the end of the sequence. Skips objects with an empty range.
fn next_range(gets: &[Arc<Get>], at: Position) -> Option<(usize, Range<u64>)> {
    let here = gets.get(at.object)?;
    let here = (at.object, here.range.start + at.passed, here);
    let later = gets.iter().enumerate().skip(at.object + 1);
    let mut starts = std::iter::once(here).chain(later.map(|(n, get)| (n, get.range.start, get)));
    let (object, start, get) = starts.find(|(_, start, get)| *start < get.range.end)?;
    let end = start.saturating_add(get.part_bytes.max(1)).min(get.range.end);
    Some((object, start..end))
}

fn no_buffer(key: &Key, err: &PoolError) -> StoreError {
    let kind = match err {
        PoolError::Exhausted { .. } => StoreErrorKind::Transient,
        PoolError::OverBudget { .. } | PoolError::Map { .. } => StoreErrorKind::Permanent,
    };
    StoreError::new(Operation::Get, key, kind).with_cause(err)
}

impl ObjectCheck {
    fn of(get: &Get) -> ObjectCheck {
        match (get.whole_crc64nvme(), get.whole_sha256()) {
            (Some(expected), _) => ObjectCheck::Crc64 { expected, found: CRC64_OF_NOTHING },
            (None, Some(expected)) => {
                ObjectCheck::Sha256 { expected, chain: Sha256Chain::new(Digests::OfWhole) }
            }
            (None, None) => ObjectCheck::None,
        }
    }

    fn add(&mut self, bytes: &Bytes, crc: Option<Crc64Nvme>) {
        match self {
            ObjectCheck::Crc64 { found, .. } => {
                let crc = crc.unwrap_or(CRC64_OF_NOTHING);
                *found = hashing::crc64_combine(*found, crc, bytes.len() as u64);
            }
            ObjectCheck::Sha256 { chain, .. } => chain.add(bytes.clone()),
            ObjectCheck::None => {}
        }
    }

    async fn finish(self, key: &Key) -> Result<(), StoreError> {
        let mismatch = match self {
            ObjectCheck::Crc64 { expected, found } if expected != found => {
                format!("CRC64NVME mismatch: expected {expected}, found {found}")
            }
            ObjectCheck::Sha256 { expected, chain } => match chain.finish().await.0 {
                found if found != expected => {
                    format!("SHA-256 mismatch: expected {expected}, found {found}")
                }
                _ => return Ok(()),
            },
            ObjectCheck::Crc64 { .. } | ObjectCheck::None => return Ok(()),
        };
        Err(StoreError::new(Operation::Get, key, StoreErrorKind::Corrupt).with_cause(mismatch))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::objects::facts::ObjectFacts;

    #[test]
    fn a_sequence_is_read_range_by_range_without_empty_ones() {
        let gets = [get(0..5, 2), get(3..3, 2), get(7..10, 4), get(0..0, 4)].map(Arc::new);
        let ranges = |gets: &[Arc<Get>]| {
            let mut at = Position::default();
            let mut ranges = Vec::new();
            while let Some((object, range)) = next_range(gets, at) {
                at = Position { object, passed: range.end - gets[object].range.start };
                ranges.push((object, range));
            }
            ranges
        };

        assert_eq!(ranges(&gets), [(0, 0..2), (0, 2..4), (0, 4..5), (2, 7..10)]);
        assert_eq!(ranges(&gets[3..]), []);
        assert_eq!(ranges(&[]), []);
        let endless = [Arc::new(get(0..3, 0))];
        assert_eq!(ranges(&endless).len(), 3, "a part has at least one byte");
    }

    fn get(range: Range<u64>, part_bytes: u64) -> Get {
        Get {
            key: Key::parse("a").expect("a key"),
            facts: ObjectFacts {
                size: range.end,
                etag: String::new(),
                version_id: None,
                content_type: None,
                modified_at: SystemTime::UNIX_EPOCH,
                metadata: Default::default(),
                sha256: None,
                crc64nvme: None,
                storage_class: None,
                sse: None,
            },
            range,
            part_bytes,
            part_sha256: None,
            in_flight: 1,
            retry_for: Duration::ZERO,
            buffer_wait: None,
            share: None,
        }
    }
}
