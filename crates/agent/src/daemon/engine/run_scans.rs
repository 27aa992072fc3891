//! Starts the scans that are due, and takes their results.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::state::{Engine, Mode, TaskResult};
use crate::daemon::log_events;
use crate::daemon::random::random;
use crate::daemon::scan_job::{ScanJob, ScanResult};
use crate::daemon::stat_files;
use crate::states::decide::UploadExisting;
use crate::watching::Degraded;

/// Interval at which each root is checked: it may have been replaced or mounted over.
const ROOTS_EVERY: Duration = Duration::from_secs(5);
/// Minimum time between two scans while some directories are not watched.
const DEGRADED_EVERY: Duration = Duration::from_secs(60);

impl Engine {
    /// Starts the scans that are due, unless some are running.
    pub(super) fn scan(&mut self, now: Instant) {
        if self.scans.running {
            return;
        }
        if matches!(self.mode, Mode::Daemon { .. }) && self.scans.next_at <= now {
            self.scans.wanted.extend(self.watches.iter().map(|watch| watch.index));
        }
        if self.scans.wanted.is_empty() || now < self.scans.earliest {
            return;
        }
        let Some(parts) = &self.parts else { return };
        let wanted = std::mem::take(&mut self.scans.wanted);
        let watches = wanted.into_iter().filter_map(|index| self.watch(index));
        let job = ScanJob {
            watches: watches.map(|watch| (watch.clone(), self.policy(watch.index))).collect(),
            watcher: match &self.mode {
                Mode::Daemon { watcher } => watcher.clone(),
                Mode::Once => None,
            },
            reader: parts.reader.clone(),
            requests: parts.requests.clone(),
            found: parts.found.clone(),
        };
        self.scans.running = true;
        self.tasks.spawn(async move {
            let scanned = AssertUnwindSafe(job.run()).catch_unwind().await;
            TaskResult::Scanned(scanned.unwrap_or_default())
        });
    }

    pub(super) fn scanned(&mut self, results: Vec<ScanResult>, now: Instant) {
        self.scans.running = false;
        self.scans.last_took = results.iter().map(|result| result.took).sum();
        let mut degraded = None;
        for result in results {
            // Each result covers all watches, and the last one is the newest.
            degraded = result.degraded;
            self.scanned_one(result);
        }
        if matches!(&self.mode, Mode::Daemon { watcher: Some(_) }) {
            self.set_degraded(degraded);
        }
        self.scans.earliest = now + self.scans.last_took;
        self.scans.next_at = now + self.until_next_scan();
    }

    fn scanned_one(&mut self, result: ScanResult) {
        let Some(watch) = self.watch(result.watch) else { return };
        log_events::scanned(&watch, &result);
        if result.complete
            && let Some(existing) = self.existing.get_mut(usize::from(result.watch))
            && matches!(existing, UploadExisting::NotBefore { .. })
        {
            *existing = UploadExisting::BaselineIsComplete;
        }
        if matches!(self.mode, Mode::Once) {
            self.summary.protected += result.report.counts.protected.files;
            self.summary.problems += result.report.counts.problems.files;
            self.summary.failed.extend(result.report.problems);
            self.summary.scan_errors.extend(result.report.error);
        }
    }

    fn until_next_scan(&self) -> Duration {
        let no_watcher = matches!(self.mode, Mode::Daemon { watcher: None });
        if no_watcher || self.scans.degraded.is_some() {
            // Scans take at most a tenth of the time, unless `scan_every` is shorter.
            let pause = DEGRADED_EVERY.max(self.scans.last_took * 10);
            return pause.min(self.options.scan_every);
        }
        self.options.scan_every.mul_f64(0.75 + 0.5 * random())
    }

    /// Records whether all directories are watched, and logs a change once.
    pub(super) fn set_degraded(&mut self, degraded: Option<Degraded>) {
        match (self.scans.degraded, degraded) {
            (None, None) => {}
            (Some(_), None) => {
                log_events::watch_restored();
                self.agent_state("watcher", "ok".to_owned());
            }
            (before, Some(degraded)) => {
                if before.is_none() {
                    log_events::watch_degraded(degraded);
                }
                self.agent_state("watcher", log_events::degraded_state(degraded));
            }
        }
        self.scans.degraded = degraded;
    }

    /// Checks whether each root is still the same directory. No event reports that a
    /// symlink above the root was switched, that a filesystem was mounted, or that
    /// the root was created again.
    pub(super) fn check_roots(&mut self, now: Instant) {
        let daemon = matches!(self.mode, Mode::Daemon { .. });
        if !daemon || self.scans.checking_roots || now < self.scans.roots_at {
            return;
        }
        self.scans.checking_roots = true;
        self.scans.roots_at = now + ROOTS_EVERY;
        let watches = self.watches.clone();
        self.tasks
            .spawn(async move { TaskResult::RootsChecked(stat_files::root_ids(watches).await) });
    }

    pub(super) fn roots_checked(&mut self, roots: Vec<Option<(u64, u64)>>) {
        self.scans.checking_roots = false;
        let before = self.scans.roots.replace(roots.clone()).unwrap_or_else(|| roots.clone());
        for ((watch, before), now) in self.watches.iter().zip(before).zip(roots) {
            if before != now {
                self.scans.wanted.insert(watch.index);
            }
        }
    }
}
