//! When the engine scans, and what a scan tells it.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::outcome::random;
use super::{DEGRADED_EVERY, Done, Engine, Mode, ROOTS_EVERY, Scans};
use crate::daemon::look;
use crate::daemon::round::{Round, Scanned};
use crate::daemon::say;
use crate::decide::UploadExisting;
use crate::inotify::Degraded;

impl Scans {
    pub(super) fn new(now: Instant) -> Scans {
        Scans {
            running: false,
            wanted: Default::default(),
            earliest: now,
            next_at: now,
            last_took: Duration::ZERO,
            roots: None,
            roots_at: now,
            looking_at_roots: false,
            degraded: None,
        }
    }
}

impl Engine {
    /// Starts a round of scans, if one is due and none is running.
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
        let round = Round {
            watches: watches.map(|watch| (watch.clone(), self.policy(watch.index))).collect(),
            watcher: match &self.mode {
                Mode::Daemon { watcher } => watcher.clone(),
                Mode::Once => None,
            },
            reader: parts.reader.clone(),
            entries: parts.entries.clone(),
            findings: parts.findings.clone(),
        };
        self.scans.running = true;
        self.tasks.spawn(async move {
            let scanned = AssertUnwindSafe(round.run()).catch_unwind().await;
            Done::Scanned(scanned.unwrap_or_default())
        });
    }

    pub(super) fn scanned(&mut self, scanned: Vec<Scanned>, now: Instant) {
        self.scans.running = false;
        self.scans.last_took = scanned.iter().map(|scanned| scanned.took).sum();
        let mut degraded = None;
        for scanned in scanned {
            // Each arming says how it is for all watches; the last one knows best.
            degraded = scanned.degraded;
            self.scanned_one(scanned);
        }
        if matches!(&self.mode, Mode::Daemon { watcher: Some(_) }) {
            self.degraded(degraded);
        }
        self.scans.earliest = now + self.scans.last_took;
        self.scans.next_at = now + self.until_next_scan();
    }

    fn scanned_one(&mut self, scanned: Scanned) {
        let Some(watch) = self.watch(scanned.watch) else { return };
        say::scanned(&watch, &scanned);
        if scanned.complete
            && let Some(existing) = self.existing.get_mut(usize::from(scanned.watch))
            && matches!(existing, UploadExisting::NotBefore { .. })
        {
            *existing = UploadExisting::BaselineIsComplete;
        }
        if matches!(self.mode, Mode::Once) {
            self.summary.protected += scanned.report.tally.protected.files;
            self.summary.problems += scanned.report.tally.problems.files;
            self.summary.failed.extend(scanned.report.problems);
            self.summary.troubles.extend(scanned.report.trouble);
        }
    }

    fn until_next_scan(&self) -> Duration {
        let blind = matches!(self.mode, Mode::Daemon { watcher: None });
        if blind || self.scans.degraded.is_some() {
            // A scan that takes long has earned its rest.
            let rest = DEGRADED_EVERY.max(self.scans.last_took * 10);
            return rest.min(self.config.scan_every);
        }
        self.config.scan_every.mul_f64(0.75 + 0.5 * random())
    }

    /// Notes whether all folders are watched; a change is said once.
    pub(super) fn degraded(&mut self, degraded: Option<Degraded>) {
        match (self.scans.degraded, degraded) {
            (None, None) => {}
            (Some(_), None) => {
                say::watching_again();
                self.agent_state("watcher", "ok".to_owned());
            }
            (before, Some(degraded)) => {
                let what = say::degradation(degraded);
                if before.is_none() {
                    say::degraded(&what);
                }
                self.agent_state("watcher", what);
            }
        }
        self.scans.degraded = degraded;
    }

    /// Looks whether each root is still the folder that it was. A symlink above
    /// it that is switched, a mount, a folder that is made anew: none of them
    /// is an event.
    pub(super) fn check_roots(&mut self, now: Instant) {
        let daemon = matches!(self.mode, Mode::Daemon { .. });
        if !daemon || self.scans.looking_at_roots || now < self.scans.roots_at {
            return;
        }
        self.scans.looking_at_roots = true;
        self.scans.roots_at = now + ROOTS_EVERY;
        let watches = self.watches.clone();
        self.tasks.spawn(async move { Done::Roots(look::roots(watches).await) });
    }

    pub(super) fn saw_roots(&mut self, roots: Vec<Option<(u64, u64)>>) {
        self.scans.looking_at_roots = false;
        let before = self.scans.roots.replace(roots.clone()).unwrap_or_else(|| roots.clone());
        for ((watch, before), now) in self.watches.iter().zip(before).zip(roots) {
            if before != now {
                self.scans.wanted.insert(watch.index);
            }
        }
    }
}
