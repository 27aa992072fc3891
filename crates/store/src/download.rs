//! The one download path.
//!
//! An object is fetched in ranges, a few ahead of the reader, each pinned to
//! the version (or ETag) that [`ObjectFacts`] describes, so that an overwrite
//! under way cannot mix two contents. A range that breaks off goes on at its
//! offset. Where the whole object is read and the store or the uploader
//! recorded a digest, the last range is handed on only after the whole agreed:
//! whoever got all bytes got the right ones.
//!
//! Buffers are taken in the order of the ranges, so a download that holds any
//! buffer can always go on with the one that its reader needs next.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use s3up_core::{Crc64Nvme, Key, Sha256Digest};
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Store;
use crate::error::{Kind, StoreError};
use crate::facts::ObjectFacts;
use crate::hashing::{self, CRC64_OF_NOTHING, Sha256Chain};
use crate::pool::{Buffer, PoolError, Share};

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

/// A download under way.
pub struct Download {
    store: Store,
    get: Get,
    ahead: VecDeque<AbortOnDropHandle<Result<(Bytes, Crc64Nvme), StoreError>>>,
    /// Where the next range to be asked for starts.
    next: u64,
    /// Where the next range to be handed on starts.
    done: u64,
    check: Check,
}

/// How the whole is verified.
enum Check {
    Crc64(Crc64Nvme, Crc64Nvme),
    Sha256(Sha256Digest, Sha256Chain),
    /// A part of the object, or one of which no digest is known.
    None,
}

impl Store {
    pub fn download(&self, get: Get) -> Download {
        let whole = get.range == (0..get.facts.size);
        let check = match (get.facts.crc64nvme, get.facts.sha256) {
            (Some(want), _) if whole => Check::Crc64(want, CRC64_OF_NOTHING),
            (None, Some(want)) if whole => Check::Sha256(want, Sha256Chain::default()),
            _ => Check::None,
        };
        let (next, done) = (get.range.start, get.range.start);
        Download { store: self.clone(), get, ahead: VecDeque::new(), next, done, check }
    }

    /// One range, whole, going on where a connection broke.
    async fn fetch(
        self,
        get: Get,
        range: Range<u64>,
        mut buffer: Buffer,
    ) -> Result<(Bytes, Crc64Nvme), StoreError> {
        while !buffer.is_full() {
            let before = buffer.filled_len();
            // The closure is called again after a failure; the buffer keeps
            // what came before it.
            let cell = tokio::sync::Mutex::new(&mut buffer);
            let outcome = self.retry(get.retry_for, || async {
                let mut buffer = cell.lock().await;
                let outcome = self.fetch_some(&get, &range, &mut buffer).await;
                // Progress: begin a new count of tries.
                if buffer.filled_len() > before { Ok(()) } else { outcome }
            });
            outcome.await?;
        }
        let bytes = buffer.into_bytes();
        check_part(&get, &range, bytes.clone()).await?;
        Ok((bytes.clone(), hashing::crc64(bytes).await))
    }

    async fn fetch_some(
        &self,
        get: &Get,
        range: &Range<u64>,
        buffer: &mut Buffer,
    ) -> Result<(), StoreError> {
        let fail = |kind, what: String| StoreError::new("get", &get.key, kind).because(what);
        let start = range.start + buffer.filled_len() as u64;
        let call = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(get.key.as_str())
            .range(format!("bytes={start}-{}", range.end - 1))
            .set_version_id(get.facts.version_id.clone())
            .if_match(&get.facts.etag);
        let idle = self.settings.patience.idle;
        let mut answer = self.call_within(idle, "get", &get.key, call.send()).await?;
        let range_is = format!("bytes {start}-{}/{}", range.end - 1, get.facts.size);
        if answer.content_range.as_deref().is_some_and(|found| found != range_is) {
            let found = answer.content_range.unwrap_or_default();
            return Err(fail(
                Kind::Corrupt,
                format!("asked for {range_is}, the store sent {found}"),
            ));
        }
        while !buffer.is_full() {
            let piece = tokio::time::timeout(idle, answer.body.next()).await;
            let nothing = || format!("nothing came for {} s", idle.as_secs_f64());
            match piece.map_err(|_| fail(Kind::Transient, nothing()))? {
                Some(Ok(piece)) => {
                    buffer.fill_from(&piece);
                }
                Some(Err(err)) => return Err(fail(Kind::Transient, err.to_string())),
                None => return Err(fail(Kind::Transient, "the body broke off".to_owned())),
            }
        }
        Ok(())
    }
}

impl Download {
    /// The next bytes, in order; `None` at the end. After an error, no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.done == self.get.range.end {
            return Ok(None);
        }
        self.ask_ahead().await?;
        let fail = |kind, what: String| StoreError::new("get", &self.get.key, kind).because(what);
        let front = self.ahead.pop_front().expect("ask_ahead has asked for what is next");
        let (bytes, crc) = match front.await {
            Ok(outcome) => outcome?,
            Err(err) => return Err(fail(Kind::Permanent, err.to_string())),
        };
        self.done += bytes.len() as u64;
        match &mut self.check {
            Check::Crc64(_, so_far) => {
                *so_far = hashing::crc64_join(*so_far, crc, bytes.len() as u64);
            }
            Check::Sha256(_, chain) => chain.add(bytes.clone()),
            Check::None => {}
        }
        if self.done == self.get.range.end {
            self.verify().await?;
        }
        Ok(Some(bytes))
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        futures::stream::try_unfold(self, |mut download| async move {
            Ok(download.next().await?.map(|bytes| (bytes, download)))
        })
    }

    /// Asks for ranges until enough are on their way. Only what the reader
    /// needs now waits for a buffer.
    async fn ask_ahead(&mut self) -> Result<(), StoreError> {
        while self.next < self.get.range.end && self.ahead.len() < self.get.in_flight.max(1) {
            let end = self.get.range.end.min(self.next + self.get.part_bytes);
            let len = end - self.next;
            let share = self.get.share.as_ref();
            let buffer = if self.ahead.is_empty() {
                self.store.pool.take_within(len, share, self.get.buffer_wait).await.map(Some)
            } else {
                self.store.pool.try_take(len, share)
            };
            let Some(buffer) = buffer.map_err(|err| self.no_buffer(&err))? else { break };
            let fetch = self.store.clone().fetch(self.get.clone(), self.next..end, buffer);
            self.ahead.push_back(AbortOnDropHandle::new(tokio::spawn(fetch)));
            self.next = end;
        }
        Ok(())
    }

    fn no_buffer(&self, err: &PoolError) -> StoreError {
        let kind = match err {
            PoolError::Exhausted { .. } => Kind::Transient,
            PoolError::OverBudget { .. } | PoolError::Map { .. } => Kind::Permanent,
        };
        StoreError::new("get", &self.get.key, kind).because(err)
    }

    async fn verify(&mut self) -> Result<(), StoreError> {
        let differs = match std::mem::replace(&mut self.check, Check::None) {
            Check::Crc64(want, found) if want != found => {
                format!("its CRC64NVME is {want}, what came has {found}")
            }
            Check::Sha256(want, chain) => match chain.finish().await {
                found if found != want => format!("its SHA-256 is {want}, what came has {found}"),
                _ => return Ok(()),
            },
            Check::Crc64(..) | Check::None => return Ok(()),
        };
        Err(StoreError::new("get", &self.get.key, Kind::Corrupt).because(differs))
    }
}

/// Compares a range with the SHA-256 that it must have.
async fn check_part(get: &Get, range: &Range<u64>, bytes: Bytes) -> Result<(), StoreError> {
    let Some(expected) = &get.part_sha256 else { return Ok(()) };
    let number = (range.start - get.range.start) / get.part_bytes;
    let found = hashing::sha256(bytes).await;
    match expected.get(number as usize) {
        Some(expected) if *expected == found => Ok(()),
        Some(expected) => {
            let what = format!(
                "part {} (bytes {}-{}): its SHA-256 is {found}, expected {expected}",
                number + 1,
                range.start,
                range.end - 1
            );
            Err(StoreError::new("get", &get.key, Kind::Corrupt).because(what))
        }
        None => {
            let what = format!("part {}: no SHA-256 is known of it", number + 1);
            Err(StoreError::new("get", &get.key, Kind::Corrupt).because(what))
        }
    }
}
