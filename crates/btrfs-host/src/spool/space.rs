//! Limits how much may wait in a spool, and lets the writer wait for space.

use std::path::Path;
use std::sync::Arc;

use s3up_core::Size;
use tokio::sync::{Semaphore, watch};

/// The space of one spool. Bytes are reserved before they are written, and released
/// together with their file.
#[derive(Clone)]
pub struct SpoolSpace {
    shared: Arc<Shared>,
}

struct Shared {
    limit: usize,
    free: Semaphore,
    /// Number of open files.
    live: watch::Sender<usize>,
}

impl SpoolSpace {
    pub fn new(limit_bytes: u64) -> SpoolSpace {
        let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let shared = Shared { limit, free: Semaphore::new(limit), live: watch::Sender::new(0) };
        SpoolSpace { shared: Arc::new(shared) }
    }

    /// Waits until the bytes of a piece are free, and reserves them.
    pub async fn take(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        if let Ok(permit) = self.shared.free.acquire_many(bytes).await {
            permit.forget();
        }
    }

    pub fn taken(&self) -> u64 {
        (self.shared.limit - self.shared.free.available_permits()) as u64
    }

    pub fn limit_bytes(&self) -> u64 {
        self.shared.limit as u64
    }

    pub fn live(&self) -> watch::Receiver<usize> {
        self.shared.live.subscribe()
    }

    pub fn opened(&self) {
        self.shared.live.send_modify(|live| *live += 1);
    }

    /// Releases a file and its bytes.
    pub fn closed(&self, bytes: usize) {
        self.shared.free.add_permits(bytes);
        self.shared.live.send_modify(|live| *live -= 1);
    }

    /// Waits until a file is closed that was open when `live` was read last.
    pub async fn wait_for_space(&self, directory: &Path, live: &mut watch::Receiver<usize>) {
        tracing::warn!(
            event = "spool_full",
            path = %directory.display(),
            "the disk is full with {} in the spool, although its limit is {}; waiting for uploads \
             to free space",
            Size(self.taken()),
            Size(self.limit_bytes())
        );
        // The sender lives as long as `self`.
        if live.changed().await.is_err() {
            tracing::debug!(event = "spool_gone");
        }
    }
}
