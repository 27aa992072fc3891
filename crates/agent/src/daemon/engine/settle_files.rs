//! Files on the settle wheel: found, checked, settled, or never settling.

use std::time::Instant;

use super::state::{Engine, Mode, TaskResult};
use crate::daemon::log_events;
use crate::daemon::scan_job::FoundFiles;
use crate::daemon::stat_files::{self, FileStatus};
use crate::database::Change;
use crate::files::identity::Identity;
use crate::files::watch::Name;
use crate::settling::{Clocks, SettleResult};
use crate::states::problem::ProblemKind;
use crate::uploading::queue::Job;

/// Maximum number of files checked by one task.
const CHECK_FILES_MAX: usize = 512;

impl Engine {
    /// Takes pending files that a scan found.
    pub(in crate::daemon) fn files_found(&mut self, files: FoundFiles, now: Clocks) {
        if self.gave_up {
            self.summary.pending += files.len() as u64;
            return;
        }
        for (name, identity) in files {
            if self.wheel.add_found(name.clone(), identity, now) == SettleResult::Settled {
                self.queue.push(job(name, identity));
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
        let watches = self.watches.clone();
        self.tasks.spawn(async move {
            TaskResult::FilesChecked(stat_files::stat_files(watches, due).await)
        });
    }

    pub(super) fn files_checked(&mut self, checked: Vec<(Name, FileStatus)>, now: Clocks) {
        self.checking_files = false;
        for (name, status) in checked {
            match status {
                FileStatus::File(identity) => match self.wheel.observe(&name, identity, now) {
                    SettleResult::Settled => self.queue.push(job(name, identity)),
                    SettleResult::Waiting => {}
                    SettleResult::NeverSettled => self.never_settled(name, identity, now),
                    SettleResult::Hot => {
                        self.never_settled(name.clone(), identity, now);
                        self.queue.push(Job { hot: true, ..job(name, identity) });
                    }
                },
                FileStatus::Gone => {
                    self.wheel.forget(&name);
                    let local_path = self.local_path(&name);
                    self.change(Change::Forget { local_path });
                }
                FileStatus::NotRegular | FileStatus::Unknown => self.wheel.forget(&name),
            }
        }
    }

    fn never_settled(&mut self, name: Name, identity: Identity, now: Clocks) {
        let local_path = self.local_path(&name);
        log_events::never_settled(&local_path, identity.size);
        if matches!(self.mode, Mode::Once) {
            self.wheel.forget(&name);
            self.note_failed(local_path.clone(), log_events::NEVER_SETTLED);
        }
        let kind = ProblemKind::NeverSettled;
        let change = self.problem(local_path, kind, log_events::NEVER_SETTLED, identity, now);
        self.change(change);
    }
}

fn job(key: Name, identity: Identity) -> Job<Name> {
    Job { key, identity, hot: false, failures: 0 }
}
