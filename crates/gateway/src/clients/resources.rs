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
    uploads: Slots,
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
            uploads: Slots::default(),
            rate: Mutex::default(),
            running: CLOCK.start(),
        }
    }

    /// Returns `None` if `limit` uploads are in progress and none of them ends in time.
    pub(super) async fn upload_slot(&self, limit: usize) -> Option<Slot> {
        self.uploads.take(limit).await
    }

    /// Counts a request, or returns the time to wait before it.
    pub(super) fn count_request(&self, per_second: u32) -> Result<(), Duration> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.count(self.running.elapsed(), per_second)
    }
}
