//! The one download path.
//!
//! An object is fetched in ranges, a few ahead of the reader, each pinned to
//! the version (or ETag) that [`ObjectFacts`] describes, so that an overwrite
//! under way cannot mix two contents. Several objects can be read as one row:
//! the first ranges of the next one are asked for while the last ones of this
//! one are on their way. Where the whole object is read and the store or the
//! uploader recorded a digest, its last range is handed on only after the whole
//! agreed: whoever got all bytes got the right ones.
//!
//! Buffers are taken in the order of the ranges, so a download that holds any
//! buffer can always go on with the one that its reader needs next.
//!
//! Not here: how one range is fetched (`fetch`).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use s3up_core::{Crc64Nvme, Key, Sha256Digest};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Store;
use crate::error::{Kind, StoreError};
use crate::facts::ObjectFacts;
use crate::hashing::{self, CRC64_OF_NOTHING, Digests, Sha256Chain};
use crate::pool::{PoolError, Share};

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Get {
    pub key: Key,
    /// From [`Store::head`]: pins the content.
    pub facts: ObjectFacts,
    /// Bytes of the object, within its size.
    pub range: Range<u64>,
    /// Length of the ranges that are fetched at once.
    pub part_bytes: u64,
    /// The SHA-256 of each of these ranges, from the first on: none is handed on
    /// that has another.
    pub part_sha256: Option<Arc<[Sha256Digest]>>,
    /// Ranges on their way or waiting for the reader, at least 1.
    pub in_flight: usize,
    /// How long a failing call is repeated without a byte of progress.
    pub retry_for: Duration,
    pub buffer_wait: Option<Duration>,
    /// The share of the buffers that it may use; `None`: all.
    pub share: Option<Share>,
}

/// A download of one object under way.
pub struct Download(DownloadRow);

/// A download of several objects, one after the other, under way.
pub struct DownloadRow {
    store: Store,
    objects: Vec<Arc<Get>>,
    ahead: VecDeque<Fetch>,
    /// What is to be asked for next.
    asking: At,
    /// What is to be handed on next.
    reading: At,
    check: Check,
}

/// A range that is on its way, or there.
struct Fetch {
    fetched: AbortOnDropHandle<Result<Fetched, StoreError>>,
    /// Tells that the reader waits for it.
    want: watch::Sender<bool>,
}

/// A range that came whole.
pub(crate) struct Fetched {
    pub bytes: Bytes,
    /// Where the whole is compared with one.
    pub crc64nvme: Option<Crc64Nvme>,
}

/// Bytes of one of the objects of a row.
#[derive(Debug)]
pub struct Piece {
    /// Which one, from 0 on.
    pub object: usize,
    pub bytes: Bytes,
}

/// A place in a row of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct At {
    object: usize,
    /// Bytes of the range of this object that lie before it.
    passed: u64,
}

/// How the whole of an object is verified.
enum Check {
    Crc64(Crc64Nvme, Crc64Nvme),
    Sha256(Sha256Digest, Sha256Chain),
    /// A part of the object, or one of which no digest is known.
    None,
}

impl Store {
    pub fn download(&self, get: Get) -> Download {
        Download(self.download_row(vec![get]))
    }

    /// Reads the objects one after the other, as one stream. As many ranges are
    /// on their way, over all of them, as the one that is being read allows.
    pub fn download_row(&self, gets: Vec<Get>) -> DownloadRow {
        DownloadRow {
            store: self.clone(),
            objects: gets.into_iter().map(Arc::new).collect(),
            ahead: VecDeque::new(),
            asking: At::default(),
            reading: At::default(),
            check: Check::None,
        }
    }
}

impl Download {
    /// The next bytes, in order; `None` at the end. After an error, or where
    /// this was dropped before it was done, no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.next().await?.map(|piece| piece.bytes))
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        futures::stream::try_unfold(self, |mut download| async move {
            Ok(download.next().await?.map(|bytes| (bytes, download)))
        })
    }
}

impl DownloadRow {
    /// The next bytes, in order, none of them of two objects; `None` at the end.
    /// After an error, or where this was dropped before it was done, no more.
    /// The last bytes of an object come only after the whole of it was verified.
    pub async fn next(&mut self) -> Result<Option<Piece>, StoreError> {
        let Some((object, range)) = next_range(&self.objects, self.reading) else {
            return Ok(None);
        };
        let get = Arc::clone(&self.objects[object]);
        self.ask_ahead(&get).await?;
        let front = self.ahead.pop_front().expect("ask_ahead has asked for what is next");
        front.want.send_replace(true);
        let Fetched { bytes, crc64nvme } = match front.fetched.await {
            Ok(outcome) => outcome?,
            Err(err) => {
                return Err(StoreError::new("get", &get.key, Kind::Permanent).because(err));
            }
        };
        if range.start == get.range.start {
            self.check = Check::of(&get);
        }
        self.check.add(&bytes, crc64nvme);
        self.reading = At { object, passed: range.end - get.range.start };
        if range.end == get.range.end {
            std::mem::replace(&mut self.check, Check::None).finish(&get.key).await?;
        }
        Ok(Some(Piece { object, bytes }))
    }

    /// Asks for ranges until enough are on their way. Only what the reader
    /// needs now waits for a buffer.
    async fn ask_ahead(&mut self, reading: &Get) -> Result<(), StoreError> {
        while self.ahead.len() < reading.in_flight.max(1) {
            let Some((object, range)) = next_range(&self.objects, self.asking) else { break };
            let get = Arc::clone(&self.objects[object]);
            let (pool, share) = (&self.store.pool, get.share.as_ref());
            let len = range.end - range.start;
            let buffer = if self.ahead.is_empty() {
                pool.take_within(len, share, get.buffer_wait).await.map(Some)
            } else {
                pool.try_take(len, share)
            };
            let Some(buffer) = buffer.map_err(|err| no_buffer(&get.key, &err))? else { break };
            self.asking = At { object, passed: range.end - get.range.start };
            let (want, wanted) = watch::channel(false);
            let fetch = self.store.clone().fetch(get, range, buffer, wanted);
            let fetched = AbortOnDropHandle::new(tokio::spawn(fetch));
            self.ahead.push_back(Fetch { fetched, want });
        }
        Ok(())
    }
}

/// The range that starts at `at`, and the object that it is of; `None` at the
/// end of the row. Objects of which nothing is wanted are passed over.
fn next_range(objects: &[Arc<Get>], at: At) -> Option<(usize, Range<u64>)> {
    let here = objects.get(at.object)?;
    let here = (at.object, here.range.start + at.passed, here);
    let behind = objects.iter().enumerate().skip(at.object + 1);
    let mut starts = std::iter::once(here).chain(behind.map(|(n, get)| (n, get.range.start, get)));
    let (object, start, get) = starts.find(|(_, start, get)| *start < get.range.end)?;
    let end = start.saturating_add(get.part_bytes.max(1)).min(get.range.end);
    Some((object, start..end))
}

fn no_buffer(key: &Key, err: &PoolError) -> StoreError {
    let kind = match err {
        PoolError::Exhausted { .. } => Kind::Transient,
        PoolError::OverBudget { .. } | PoolError::Map { .. } => Kind::Permanent,
    };
    StoreError::new("get", key, kind).because(err)
}

impl Get {
    /// The checksum that the whole is compared with. Where each of its ranges is
    /// compared with its SHA-256, that says more.
    pub(crate) fn whole_crc64nvme(&self) -> Option<Crc64Nvme> {
        let is_wanted = self.is_whole() && self.part_sha256.is_none();
        self.facts.crc64nvme.filter(|_| is_wanted)
    }

    fn whole_sha256(&self) -> Option<Sha256Digest> {
        let is_wanted = self.is_whole() && self.part_sha256.is_none();
        self.facts.sha256.filter(|_| is_wanted)
    }

    fn is_whole(&self) -> bool {
        self.range == (0..self.facts.size)
    }
}

impl Check {
    fn of(get: &Get) -> Check {
        match (get.whole_crc64nvme(), get.whole_sha256()) {
            (Some(want), _) => Check::Crc64(want, CRC64_OF_NOTHING),
            (None, Some(want)) => Check::Sha256(want, Sha256Chain::new(Digests::OfWhole)),
            (None, None) => Check::None,
        }
    }

    fn add(&mut self, bytes: &Bytes, crc: Option<Crc64Nvme>) {
        match self {
            Check::Crc64(_, so_far) => {
                let crc = crc.unwrap_or(CRC64_OF_NOTHING);
                *so_far = hashing::crc64_join(*so_far, crc, bytes.len() as u64);
            }
            Check::Sha256(_, chain) => chain.add(bytes.clone()),
            Check::None => {}
        }
    }

    async fn finish(self, key: &Key) -> Result<(), StoreError> {
        let differs = match self {
            Check::Crc64(want, found) if want != found => {
                format!("its CRC64NVME is {want}, what came has {found}")
            }
            Check::Sha256(want, chain) => match chain.finish().await.0 {
                found if found != want => format!("its SHA-256 is {want}, what came has {found}"),
                _ => return Ok(()),
            },
            Check::Crc64(..) | Check::None => return Ok(()),
        };
        Err(StoreError::new("get", key, Kind::Corrupt).because(differs))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_row_is_read_range_by_range() {
        let row = [get(0..5, 2), get(3..3, 2), get(7..10, 4), get(0..0, 4)].map(Arc::new);
        let ranges = |row: &[Arc<Get>]| {
            let mut at = At::default();
            let mut ranges = Vec::new();
            while let Some((object, range)) = next_range(row, at) {
                at = At { object, passed: range.end - row[object].range.start };
                ranges.push((object, range));
            }
            ranges
        };

        assert_eq!(ranges(&row), [(0, 0..2), (0, 2..4), (0, 4..5), (2, 7..10)]);
        assert_eq!(ranges(&row[3..]), []);
        assert_eq!(ranges(&[]), []);
        let endless = [Arc::new(get(0..3, 0))];
        assert_eq!(ranges(&endless).len(), 3, "no part is shorter than a byte");
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
