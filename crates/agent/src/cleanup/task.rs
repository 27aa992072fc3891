//! The task of the daemon: undoes what an earlier run left, and runs a cleanup once a day.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use s3up_core::error_chain;

use super::lock::CleanupLock;
use super::run::Cleanup;
use super::schedule::until_next;
use super::summary::CleanupSummary;
use crate::clock;

/// Longest sleep: the clock of the host may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(10 * 60);

#[derive(Debug)]
pub struct CleanupTask {
    pub cleanup: Cleanup,
    /// Path of the database.
    pub database: PathBuf,
}

impl CleanupTask {
    /// Runs until it is dropped.
    pub async fn run(self) {
        // Also if cleanups are off: the one that was interrupted may have run under another configuration.
        self.recover().await;
        if !self.cleanup.policy.is_enabled {
            return;
        }
        loop {
            self.sleep_until_time().await;
            self.recover_and_run().await;
        }
    }

    async fn sleep_until_time(&self) {
        let mut wait = self.wait();
        while wait > SLEEP_MAX {
            tokio::time::sleep(SLEEP_MAX).await;
            wait = self.wait();
        }
        tokio::time::sleep(wait).await;
    }

    fn wait(&self) -> Duration {
        let now = Timestamp::from_second(clock::wall_seconds()).unwrap_or_default();
        until_next(now, self.cleanup.policy.time)
    }

    async fn recover(&self) {
        let Some(_lock) = self.lock() else { return };
        if let Err(err) = self.cleanup.recover().await {
            not_done(&error_chain(&err));
        }
    }

    async fn recover_and_run(&self) {
        let Some(_lock) = self.lock() else { return };
        let done = async {
            self.cleanup.recover().await?;
            self.cleanup.run(&mut |_, _| {}).await
        };
        match done.await {
            Ok(summary) => log(&summary),
            Err(err) => not_done(&error_chain(&err)),
        }
    }

    /// Returns the lock, unless `s3up cleanup` has it, which recovers as well.
    fn lock(&self) -> Option<CleanupLock> {
        CleanupLock::take(&self.database).unwrap_or_else(|err| {
            not_done(&err.to_string());
            None
        })
    }
}

fn log(summary: &CleanupSummary) {
    let CleanupSummary { deleted, verified, waiting, not_needed, kept, alarms, errors, .. } =
        summary;
    errors.iter().for_each(|error| not_done(error));
    tracing::info!(
        event = "cleanup_done",
        deleted = deleted.files,
        bytes = deleted.bytes,
        verified = verified.files,
        waiting = waiting.files,
        not_needed = not_needed.files,
        kept = kept.files,
        alarms,
    );
}

fn not_done(error: &str) {
    tracing::error!(
        event = "cleanup_not_done",
        error,
        "nothing more is deleted; the next run tries again"
    );
}
