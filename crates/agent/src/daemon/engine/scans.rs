//! Starts the scans that are due, and applies their results.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::state::{Engine, Mode, TaskResult, is_undecided};
use crate::clock;
use crate::daemon::log_events;
use crate::daemon::scan_job::{ScanJob, ScanResult, WatchToScan};
use crate::daemon::stat_files;
use crate::files::confined_fs::RootId;
use crate::files::watch::WatchIndex;
use crate::random::random;
use crate::scanning::schedule::Discovery;
use crate::states::agent_fact::AgentFact;
use crate::states::existing_files::WatchState;
use crate::states::watch_history::WatchHistory;
use crate::states::watcher_state::WatcherState;
use crate::uploading::retry::RetryHint;
use crate::watching::WatchGaps;

/// Interval at which each root is checked: it may have been replaced or mounted over.
const ROOTS_EVERY: Duration = Duration::from_secs(5);

impl Engine {
    /// Starts the scans that are due, unless some are running.
    pub(super) fn scan(&mut self, now: Instant) {
        if self.scans.running {
            return;
        }
        if matches!(self.mode, Mode::Daemon { .. }) {
            let due = self.watches.iter().zip(&self.scans.next_at).filter(|(_, at)| **at <= now);
            self.scans.requested.extend(due.map(|(watch, _)| watch.index));
        }
        if self.scans.requested.is_empty() || now < self.scans.earliest {
            return;
        }
        let Some(parts) = &self.parts else { return };
        let requested = std::mem::take(&mut self.scans.requested);
        let job = ScanJob {
            watches: requested.iter().filter_map(|index| self.to_scan(*index)).collect(),
            upload_existing: self.options.upload_existing,
            history_tries: self.scans.history_tries,
            gateway: parts.gateway.clone(),
            watcher: match &self.mode {
                Mode::Daemon { watcher } => watcher.clone(),
                Mode::Once => None,
            },
            reader: parts.reader.clone(),
            requests: parts.requests.clone(),
            pending_files: parts.pending_files.clone(),
        };
        self.scans.running = true;
        // Now and not at their end only: a scan that panics has no result.
        requested.into_iter().for_each(|index| self.plan_next_scan(index, now));
        self.tasks.spawn(async move {
            let scanned = AssertUnwindSafe(job.run()).catch_unwind().await;
            TaskResult::Scanned(scanned.unwrap_or_default())
        });
    }

    pub(super) fn scanned(&mut self, results: Vec<ScanResult>, now: Instant) {
        self.scans.running = false;
        self.scans.last_took = results.iter().map(|result| result.took).sum();
        let mut degraded = None;
        let scanned: Vec<_> = results.iter().map(|result| result.watch).collect();
        for result in results {
            // Each result covers all watches, and the last one is the newest.
            degraded.clone_from(&result.degraded);
            self.scanned_one(result);
        }
        if matches!(&self.mode, Mode::Daemon { watcher: Some(_) }) {
            self.set_degraded(degraded);
        }
        self.scans.earliest = now + self.scans.last_took;
        scanned.into_iter().for_each(|index| self.plan_next_scan(index, now));
        self.note_activity();
        self.ask_histories_again(now);
    }

    fn to_scan(&self, index: WatchIndex) -> Option<WatchToScan> {
        let state = self.states.get(usize::from(index))?.clone();
        Some(WatchToScan { watch: self.watch(index)?, policy: self.policy(index), state })
    }

    /// Applies the decision of a scan whether the database of its watch was lost.
    pub(super) fn watch_history_decided(
        &mut self,
        watch: WatchIndex,
        history: Option<WatchHistory>,
    ) {
        if history.is_some()
            && let Some(state) = self.states.get_mut(usize::from(watch))
        {
            state.history = history;
            let undecided = |state: &WatchState| is_undecided(&self.options, state);
            self.scans.undecided = self.states.iter().any(undecided);
        }
    }

    /// Scans the watches again of which it is not known whether their database was lost.
    fn ask_histories_again(&mut self, now: Instant) {
        let states = self.watches.iter().zip(&self.states);
        let open: Vec<_> = states
            .filter(|(_, state)| is_undecided(&self.options, state))
            .map(|(watch, _)| watch.index)
            .collect();
        self.scans.undecided = !open.is_empty();
        self.scanned.send_replace(open.is_empty());
        if open.is_empty() || matches!(self.mode, Mode::Once) {
            self.scans.history_tries = 0;
            return;
        }
        self.scans.history_tries = self.scans.history_tries.saturating_add(1);
        let hint = RetryHint::default();
        let delay = self.options.retry.delay(self.scans.history_tries, hint, random());
        self.scans.earliest = now + delay.max(self.scans.last_took);
        self.scans.requested.extend(open);
    }

    /// True while uploads wait for the gateway's answer about existing files: an upload that was
    /// not recorded yet would look like one from before the database was lost.
    pub(super) fn waits_for_history(&self) -> bool {
        self.scans.undecided && matches!(self.mode, Mode::Daemon { .. })
    }

    fn scanned_one(&mut self, result: ScanResult) {
        let Some(watch) = self.watch(result.watch) else { return };
        log_events::scanned(&watch, &result);
        let has_turned = match result.complete {
            true => self.scans.failed.remove(&result.watch),
            false => self.scans.failed.insert(result.watch),
        };
        let databases = &result.report.live_databases;
        if databases.files > 0 && self.scans.warned_of_databases.insert(result.watch) {
            log_events::live_databases(&watch, databases);
        }
        if has_turned {
            // So that the next check scans again: the root may be back before it was seen missing.
            let known = self.scans.roots.as_mut();
            if let Some(root) = known.and_then(|roots| roots.get_mut(usize::from(result.watch)))
                && !result.complete
            {
                *root = None;
            }
            self.watch_turned.send_replace(());
        }
        if result.complete
            && let Some(state) = self.states.get_mut(usize::from(result.watch))
        {
            state.first_scan_at.get_or_insert(clock::wall_seconds());
        }
        if matches!(self.mode, Mode::Once) {
            self.summary.protected += result.report.counts.protected.files;
            self.summary.problems += result.report.counts.problems.files;
            if result.complete {
                self.scans.reports.insert(result.watch, result.report.clone());
            }
            let problems = result.report.problems.into_iter();
            self.summary.failed.extend(problems.map(|it| (it.local_path, it.problem.to_string())));
            self.summary.scan_errors.extend(result.report.error);
        }
    }

    fn plan_next_scan(&mut self, index: WatchIndex, now: Instant) {
        let until_next =
            self.options.scans.until_next(self.discovery(index), self.scans.last_took, random());
        if let Some(next_at) = self.scans.next_at.get_mut(usize::from(index)) {
            *next_at = now + until_next;
        }
    }

    fn discovery(&self, index: WatchIndex) -> Discovery {
        let polled = self.watch(index).is_some_and(|watch| watch.poll);
        let no_watcher = matches!(self.mode, Mode::Daemon { watcher: None });
        let unwatched = self.scans.degraded.as_ref().is_some_and(|degraded| degraded.unwatched > 0);
        match polled || no_watcher || unwatched {
            true => Discovery::Polling,
            false => Discovery::Events,
        }
    }

    /// Records whether all directories are watched, and logs a change once.
    pub(super) fn set_degraded(&mut self, mut degraded: Option<WatchGaps>) {
        if self.options.scans.are_polling()
            && let Some(gaps) = &mut degraded
        {
            // A scan finds these changes as soon as it would in a polled watch.
            gaps.changed_elsewhere.clear();
        }
        let degraded = degraded.filter(|gaps| !gaps.is_empty());
        match (&self.scans.degraded, &degraded) {
            (None, None) => {}
            (Some(_), None) => {
                log_events::watch_restored();
                self.publish(AgentFact::Watcher(WatcherState::Complete));
            }
            (before, Some(degraded)) => {
                let message = log_events::degraded_message(degraded);
                if before.is_none() {
                    log_events::watch_degraded(&message);
                }
                self.publish(AgentFact::Watcher(WatcherState::Degraded(message)));
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

    pub(super) fn roots_checked(&mut self, roots: Vec<Option<RootId>>) {
        self.scans.checking_roots = false;
        let before = self.scans.roots.replace(roots.clone()).unwrap_or_else(|| roots.clone());
        for ((watch, before), now) in self.watches.iter().zip(before).zip(roots) {
            if before != now {
                self.scans.requested.insert(watch.index);
            }
        }
    }
}
