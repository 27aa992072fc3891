//! Fetches one range of an object. A broken connection resumes at its offset, and a
//! range with a wrong digest is fetched once more.
//!
//! A damaged part was damaged in transit or at rest; only a second fetch can tell.
//! If it is damaged at rest, it arrives with the same damage.

use std::ops::Range;

use bytes::Bytes;
use s3up_core::{Crc64Nvme, Sha256Digest};

use crate::buffers::buffer::Buffer;
use crate::buffers::hashing;
use crate::buffers::paired_hasher::DigestDemand;
use crate::download::get::Get;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::etag::is_reported;
use crate::transport::connect::Store;

/// Fetches of a part before it counts as corrupt.
const FETCHES_MAX: u32 = 2;

/// A range that was fetched completely.
pub(crate) struct FetchedRange {
    pub bytes: Bytes,
    /// `Some` if the checksum of the whole object is verified.
    pub crc64nvme: Option<Crc64Nvme>,
}

impl Store {
    pub(crate) async fn fetch(
        self,
        get: std::sync::Arc<Get>,
        range: Range<u64>,
        mut buffer: Buffer,
        demand: DigestDemand,
    ) -> Result<FetchedRange, StoreError> {
        let expected = expected_sha256(&get, &range)?;
        for fetch in 1.. {
            self.fill(&get, &range, &mut buffer).await?;
            let Some(expected) = expected else { break };
            let (same_buffer, found) = self.hasher.sha256(buffer, demand.clone()).await;
            buffer = same_buffer;
            if found == expected {
                break;
            }
            let damaged = damaged(&get, &range, expected, found);
            if fetch == FETCHES_MAX {
                return Err(damaged);
            }
            tracing::warn!(
                event = "store_part_damaged",
                key = %get.key,
                first_byte = range.start,
                "fetching a damaged part again: {damaged}"
            );
            buffer.clear();
        }
        let bytes = buffer.into_bytes();
        let crc64nvme = match get.whole_crc64nvme() {
            Some(_) => Some(hashing::crc64(bytes.clone()).await),
            None => None,
        };
        Ok(FetchedRange { bytes, crc64nvme })
    }

    async fn fill(
        &self,
        get: &Get,
        range: &Range<u64>,
        buffer: &mut Buffer,
    ) -> Result<(), StoreError> {
        while !buffer.is_full() {
            let before = buffer.filled_len();
            // The closure is called again after a failure, and the buffer keeps the
            // bytes that arrived before it.
            let cell = tokio::sync::Mutex::new(&mut *buffer);
            let outcome = self.retry(get.retry_for, || async {
                let mut buffer = cell.lock().await;
                let outcome = self.fetch_rest(get, range, &mut buffer).await;
                // Progress resets the time for retries.
                if buffer.filled_len() > before { Ok(()) } else { outcome }
            });
            outcome.await?;
        }
        Ok(())
    }

    async fn fetch_rest(
        &self,
        get: &Get,
        range: &Range<u64>,
        buffer: &mut Buffer,
    ) -> Result<(), StoreError> {
        let fail =
            |kind, what: String| StoreError::new(Operation::Get, &get.key, kind).with_cause(what);
        let start = range.start + buffer.filled_len() as u64;
        let call = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(get.key.as_str())
            .range(format!("bytes={start}-{}", range.end - 1))
            .set_version_id(get.facts.version_id.clone())
            .set_if_match(is_reported(&get.facts.etag).then(|| get.facts.etag.clone()));
        let idle = self.settings.timeouts.idle;
        let mut answer = self.call_within(idle, Operation::Get, &get.key, call.send()).await?;
        let expected_range = format!("bytes {start}-{}/{}", range.end - 1, get.facts.size);
        if answer.content_range.as_deref().is_some_and(|found| found != expected_range) {
            let found = answer.content_range.unwrap_or_default();
            return Err(fail(
                StoreErrorKind::Corrupt,
                format!("Content-Range: expected {expected_range}, found {found}"),
            ));
        }
        while !buffer.is_full() {
            let bytes = tokio::time::timeout(idle, answer.body.next()).await;
            let stalled = || format!("received no bytes for {} s", idle.as_secs_f64());
            match bytes.map_err(|_| fail(StoreErrorKind::Transient, stalled()))? {
                Some(Ok(bytes)) => {
                    buffer.fill_from(&bytes);
                    self.download_limit.acquire(bytes.len() as u64).await;
                }
                Some(Err(err)) => return Err(fail(StoreErrorKind::Transient, err.to_string())),
                None => {
                    return Err(fail(StoreErrorKind::Transient, "the body ended early".to_owned()));
                }
            }
        }
        Ok(())
    }
}

/// Returns the SHA-256 that a range must have, if it is known.
fn expected_sha256(get: &Get, range: &Range<u64>) -> Result<Option<Sha256Digest>, StoreError> {
    let Some(expected) = &get.part_sha256 else { return Ok(None) };
    let number = part_number(get, range);
    match usize::try_from(number - 1).ok().and_then(|n| expected.get(n)) {
        Some(expected) => Ok(Some(*expected)),
        None => {
            let what = format!("part {number}: expected its SHA-256 in the part index, found none");
            Err(StoreError::new(Operation::Get, &get.key, StoreErrorKind::Corrupt).with_cause(what))
        }
    }
}

fn damaged(
    get: &Get,
    range: &Range<u64>,
    expected: Sha256Digest,
    found: Sha256Digest,
) -> StoreError {
    let what = format!(
        "part {} (bytes {}-{}): SHA-256 mismatch: expected {expected}, found {found}",
        part_number(get, range),
        range.start,
        range.end - 1
    );
    StoreError::new(Operation::Get, &get.key, StoreErrorKind::Corrupt).with_cause(what)
}

/// Returns the number of a part, counted from 1.
fn part_number(get: &Get, range: &Range<u64>) -> u64 {
    (range.start - get.range.start) / get.part_bytes.max(1) + 1
}
