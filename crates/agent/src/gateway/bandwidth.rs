//! The bandwidth limit of all uploads together (`upload.bandwidth_limit_mb`).

use std::io;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use s3up_core::TokenBucket;
use tokio::time::Instant;

use crate::clock;

/// Clones share the limit.
#[derive(Clone, Debug, Default)]
pub struct BandwidthLimit(Option<Arc<SharedLimit>>);

#[derive(Debug)]
struct SharedLimit {
    created: Instant,
    bucket: Mutex<TokenBucket>,
}

impl BandwidthLimit {
    /// Creates a limit; `None` means unlimited.
    pub fn new(bytes_per_second: Option<NonZeroU64>) -> BandwidthLimit {
        BandwidthLimit(bytes_per_second.map(|bytes_per_second| {
            let bucket = Mutex::new(TokenBucket::new(bytes_per_second));
            Arc::new(SharedLimit { created: clock::timer_now(), bucket })
        }))
    }

    /// Returns `body` with a pause before each piece that the limit delays.
    pub(super) fn slow_down(
        self,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        body.and_then(move |piece| {
            let limit = self.clone();
            async move {
                limit.acquire(piece.len() as u64).await;
                Ok(piece)
            }
        })
    }

    /// Waits until `bytes` may be sent.
    async fn acquire(&self, bytes: u64) {
        let Some(limit) = &self.0 else { return };
        let now = clock::timer_now().saturating_duration_since(limit.created);
        let wait = limit.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}
