//! The bandwidth limit: a token bucket per direction and process.
//!
//! Bytes are taken in short slices, so that parts of any length get through and the
//! bandwidth is used evenly.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s3up_core::TokenBucket;
use tokio::time::Instant;

use crate::clock;

/// Fast links need no longer slices.
const SLICE_BYTES_MAX: u64 = 256 << 10;

/// The limit of one direction. Clones share their bucket.
#[derive(Clone, Debug)]
pub(crate) struct BandwidthLimit(Option<Arc<SharedLimit>>);

#[derive(Debug)]
struct SharedLimit {
    slice_bytes: u64,
    created: Instant,
    bucket: Mutex<TokenBucket>,
}

impl BandwidthLimit {
    /// Creates a limit; `None` means unlimited.
    pub(crate) fn new(bytes_per_second: Option<NonZeroU64>) -> BandwidthLimit {
        BandwidthLimit(bytes_per_second.map(|bytes_per_second| {
            let slice_bytes = (bytes_per_second.get() / 8).clamp(1, SLICE_BYTES_MAX);
            let bucket = Mutex::new(TokenBucket::new(bytes_per_second));
            Arc::new(SharedLimit { slice_bytes, created: clock::now(), bucket })
        }))
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Returns how many bytes should be sent at once.
    pub(crate) fn slice_bytes(&self) -> u64 {
        self.0.as_ref().map_or(u64::MAX, |limited| limited.slice_bytes)
    }

    /// Takes `bytes` and returns how long to wait before sending them.
    pub(crate) fn take(&self, bytes: u64) -> Duration {
        let Some(limited) = &self.0 else { return Duration::ZERO };
        let now = clock::now() - limited.created;
        limited.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now)
    }

    /// Takes `bytes` and waits until they may be sent.
    pub(crate) async fn acquire(&self, bytes: u64) {
        let wait = self.take(bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}
