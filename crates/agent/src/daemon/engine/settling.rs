//! Files on the settle wheel: found, checked, settled, or never settling.

use std::time::Instant;

use super::state::{Engine, Mode, TaskResult};
use crate::daemon::log_events;
use crate::daemon::scan_job::PendingFiles;
use crate::daemon::stat_files::{self, CheckedFile};
use crate::daemon::summary::Ending;
use crate::database::Change;
use crate::files::identity::Identity;
use crate::files::watch::Name;
use crate::files::writes::Writes;
use crate::settling::{ClockReading, SettleVerdict};
use crate::states::problem::ProblemKind;
use crate::uploading::queue::{Failures, Job};
use crate::uploading::task::UploadMode;

/// Maximum number of files checked by one task.
const CHECK_FILES_MAX: usize = 512;
const NOT_READABLE: &str = "the file, or the watched directory as it was scanned, cannot be read";

impl Engine {
    /// Puts the pending files that a scan found on the settle wheel.
    pub(in crate::daemon) fn pending_files_found(
        &mut self,
        files: PendingFiles,
        now: ClockReading,
    ) {
        let PendingFiles { watch, root, history, files } = files;
        if let Some(scanned) = self.scanned_roots.get_mut(usize::from(watch)) {
            *scanned = root.or(*scanned);
        }
        self.watch_history_decided(watch, history);
        self.summary.found += files.len() as u64;
        if self.gave_up {
            self.summary.pending += files.len() as u64;
            self.summary.ended.pending += files.len() as u64;
            return;
        }
        for (name, identity) in files {
            if let SettleVerdict::Settled(writes) =
                self.wheel.add_scanned(name.clone(), identity, now)
            {
                self.push_settled(name, identity, writes, now);
            }
        }
    }

    pub(super) fn check_due_files(&mut self, now: Instant) {
        if !self.may_check_files() {
            return;
        }
        let due = self.wheel.take_due(CHECK_FILES_MAX, now);
        if due.is_empty() {
            return;
        }
        self.checking_files = true;
        let (watches, roots) = (self.watches.clone(), self.scanned_roots.clone());
        self.tasks.spawn(async move {
            TaskResult::FilesChecked(stat_files::stat_files(watches, roots, due).await)
        });
    }

    pub(super) fn files_checked(&mut self, checked: Vec<(Name, CheckedFile)>, now: ClockReading) {
        self.checking_files = false;
        for (name, status) in checked {
            match status {
                CheckedFile::File(identity) => match self.wheel.observe(&name, identity, now) {
                    SettleVerdict::Settled(writes) => {
                        self.plan_delayed_checks(&name, writes, now.instant);
                        self.push_settled(name, identity, writes, now);
                    }
                    SettleVerdict::Waiting => {}
                    SettleVerdict::NeverSettled => self.never_settled(name, identity, now),
                    SettleVerdict::StillHot => self.still_hot(&name, identity, now),
                    SettleVerdict::Hot(writes) => {
                        self.never_settled(name.clone(), identity, now);
                        let mode = UploadMode::Hot;
                        let failures = Failures::default();
                        self.queue.push(Job { key: name, identity, writes, mode, failures });
                    }
                },
                CheckedFile::Gone => {
                    self.wheel.forget(&name);
                    self.summary.ended(Ending::Gone);
                    let local_path = self.local_path(&name);
                    self.change(Change::Forget { local_path });
                }
                CheckedFile::NotRegular => {
                    self.wheel.forget(&name);
                    self.summary.ended(Ending::Excluded);
                }
                CheckedFile::Unknown => {
                    self.wheel.forget(&name);
                    self.not_observed(&name, NOT_READABLE);
                }
                CheckedFile::NotNow => {
                    self.wheel.forget(&name);
                    self.wheel.note_event(name, Writes::REPLACED, now.instant);
                }
            }
        }
    }

    /// Counts a file of `s3up scan` that could not be observed. The daemon scans again.
    pub(super) fn not_observed(&mut self, name: &Name, reason: &str) {
        if matches!(self.mode, Mode::Once) {
            let local_path = self.local_path(name);
            self.summary.add_not_uploaded(local_path, reason);
        }
    }

    fn never_settled(&mut self, name: Name, identity: Identity, now: ClockReading) {
        let local_path = self.local_path(&name);
        log_events::never_settled(&local_path, identity.size);
        if matches!(self.mode, Mode::Once) {
            self.wheel.forget(&name);
            self.summary.ended(Ending::Problem);
            self.note_failed(local_path.clone(), log_events::NEVER_SETTLED);
        }
        let kind = ProblemKind::NeverSettled;
        let change = self.problem(local_path, kind, log_events::NEVER_SETTLED, identity, now);
        self.change(change);
    }
}
