//! The task of the daemon: undoes what an earlier run left, and runs a cleanup once a day.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use s3up_core::error_chain;

use super::error::CleanupError;
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
        // It was begun under a configuration that may have been another one.
        self.attempt(false).await;
        if !self.cleanup.policy.is_enabled {
            return;
        }
        loop {
            self.sleep_until_time().await;
            self.attempt(true).await;
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

    async fn attempt(&self, is_due: bool) {
        let _lock = match CleanupLock::take(&self.database) {
            Ok(Some(lock)) => lock,
            // One by hand does the same.
            Ok(None) => return,
            Err(err) => return not_done(&err.to_string()),
        };
        let done = async {
            self.cleanup.recover().await?;
            match is_due {
                true => self.cleanup.run(&mut |_, _| {}).await.map(Some),
                false => Ok::<_, CleanupError>(None),
            }
        };
        match done.await {
            Ok(Some(summary)) => log(&summary),
            Ok(None) => {}
            Err(err) => not_done(&error_chain(&err)),
        }
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
