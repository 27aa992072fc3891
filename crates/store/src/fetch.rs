//! One range of an object, whole: it goes on where a connection broke, and is
//! fetched once more where it is not what it must be.
//!
//! A part that arrives damaged was damaged on the way or at rest; only asking
//! again tells which. What is damaged at rest comes back the same.

use std::ops::Range;

use s3up_core::Sha256Digest;

use crate::connect::Store;
use crate::download::{Fetched, Get};
use crate::error::{Kind, StoreError};
use crate::hashing;
use crate::pairs::Wanted;
use crate::pool::Buffer;

/// Times that a part is fetched before it is called corrupt.
const FETCHES_MAX: u32 = 2;

impl Store {
    pub(crate) async fn fetch(
        self,
        get: std::sync::Arc<Get>,
        range: Range<u64>,
        mut buffer: Buffer,
        wanted: Wanted,
    ) -> Result<Fetched, StoreError> {
        let expected = expected_sha256(&get, &range)?;
        for fetch in 1.. {
            self.fill(&get, &range, &mut buffer).await?;
            let Some(expected) = expected else { break };
            let (same_buffer, found) = self.pairs.sha256(buffer, wanted.clone()).await;
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
                "{damaged}; it is fetched once more"
            );
            buffer.clear();
        }
        let bytes = buffer.into_bytes();
        let crc64nvme = match get.whole_crc64nvme() {
            Some(_) => Some(hashing::crc64(bytes.clone()).await),
            None => None,
        };
        Ok(Fetched { bytes, crc64nvme })
    }

    async fn fill(
        &self,
        get: &Get,
        range: &Range<u64>,
        buffer: &mut Buffer,
    ) -> Result<(), StoreError> {
        while !buffer.is_full() {
            let before = buffer.filled_len();
            // The closure is called again after a failure; the buffer keeps
            // what came before it.
            let cell = tokio::sync::Mutex::new(&mut *buffer);
            let outcome = self.retry(get.retry_for, || async {
                let mut buffer = cell.lock().await;
                let outcome = self.fetch_some(get, range, &mut buffer).await;
                // Progress: begin a new count of tries.
                if buffer.filled_len() > before { Ok(()) } else { outcome }
            });
            outcome.await?;
        }
        Ok(())
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
                    self.downloads.pass(piece.len() as u64).await;
                }
                Some(Err(err)) => return Err(fail(Kind::Transient, err.to_string())),
                None => return Err(fail(Kind::Transient, "the body broke off".to_owned())),
            }
        }
        Ok(())
    }
}

/// The SHA-256 that a range must have, where one is known.
fn expected_sha256(get: &Get, range: &Range<u64>) -> Result<Option<Sha256Digest>, StoreError> {
    let Some(expected) = &get.part_sha256 else { return Ok(None) };
    let number = part_number(get, range);
    match usize::try_from(number - 1).ok().and_then(|n| expected.get(n)) {
        Some(expected) => Ok(Some(*expected)),
        None => {
            let what = format!("part {number}: no SHA-256 is known of it");
            Err(StoreError::new("get", &get.key, Kind::Corrupt).because(what))
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
        "part {} (bytes {}-{}): its SHA-256 is {found}, expected {expected}",
        part_number(get, range),
        range.start,
        range.end - 1
    );
    StoreError::new("get", &get.key, Kind::Corrupt).because(what)
}

/// From 1 on.
fn part_number(get: &Get, range: &Range<u64>) -> u64 {
    (range.start - get.range.start) / get.part_bytes.max(1) + 1
}
