//! The resources that the requests of one client share, across reloads of the configuration.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use s3up_core::Stopwatch;
use s3up_store::Share;
use tokio::sync::Semaphore;

use super::request_rate::RequestRate;
use super::slots::{Slot, Slots};
use crate::clock::CLOCK;
use crate::request::json_memory::JsonShare;

/// Maximum number of requests of one client, without uploads, that the gateway works on at once, and of files about
/// which they ask S3 at once. With an S3 server that answers after 20 ms, that makes 3,200 a second; more would only
/// lengthen the queues that all clients share.
pub(super) const REQUESTS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Resources {
    pub buffer_share: Share,
    pub json_share: JsonShare,
    /// True if the catalogue has every file of the client; found out once.
    pub is_catalogue_complete: OnceLock<bool>,
    /// Held by the one upload that finds it out, and until the next one may try.
    pub completeness_check: Arc<Semaphore>,
    /// Number of checks that found files which the catalogue lacks.
    pub completeness_failures: AtomicU32,
    /// Held by the one report of the client that is being recorded.
    pub report: Arc<Semaphore>,
    /// Permits to ask S3 about one of the files that a request names.
    pub file_queries: Semaphore,
    uploads: Slots,
    requests: Slots,
    rate: Mutex<RequestRate>,
    running: Stopwatch,
}

impl Resources {
    pub(super) fn new(share_bytes: u64) -> Resources {
        Resources {
            buffer_share: Share::new(share_bytes),
            json_share: JsonShare::default(),
            is_catalogue_complete: OnceLock::new(),
            completeness_check: Arc::new(Semaphore::new(1)),
            completeness_failures: AtomicU32::new(0),
            report: Arc::new(Semaphore::new(1)),
            file_queries: Semaphore::new(REQUESTS_MAX),
            uploads: Slots::default(),
            requests: Slots::default(),
            rate: Mutex::default(),
            running: CLOCK.start(),
        }
    }

    /// Returns `None` if `limit` uploads are in progress and none of them ends in time.
    pub(super) async fn upload_slot(&self, limit: usize) -> Option<Slot> {
        self.uploads.take(limit).await
    }

    /// Returns `None` if [`REQUESTS_MAX`] other requests are in progress and none of them ends in time.
    pub(super) async fn request_slot(&self) -> Option<Slot> {
        self.requests.take(REQUESTS_MAX).await
    }

    /// Counts a request, or returns the time to wait before it.
    pub(super) fn count_request(&self, per_second: u32) -> Result<(), Duration> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.count(self.running.elapsed(), per_second)
    }
}
