//! Files that change more often than an upload takes.
//!
//! An upload of a file that changes meanwhile is torn: it is refused, and the file
//! settles again. Without a count that could continue for ever. So after some torn
//! uploads a copy of the file is uploaded, and as long as the file keeps changing,
//! another one at most each `stability.hot_interval_seconds`. Between them the file is
//! a problem, marked `hot`.

use std::collections::HashMap;
use std::time::Instant;

use super::state::{Engine, Mode};
use crate::daemon::summary::Ending;
use crate::files::identity::Identity;
use crate::files::watch::Name;
use crate::files::writes::Writes;
use crate::settling::Now;
use crate::states::problem::ProblemKind;
use crate::uploading::queue::{Failures, Job};
use crate::uploading::task::UploadMode;

/// Number of torn uploads of a file in a row after which it is copied. One may be bad
/// luck.
const TORN_MAX: u32 = 2;

const HOT: &str = "it changes more often than an upload takes; a copy of it is stored from time to \
                   time, and the last changes are not";

/// The files with torn uploads.
pub(super) type HotFiles = HashMap<Name, HotFile>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HotFile {
    torn: u32,
    /// Earliest time of the next copy.
    next_at: Option<Instant>,
}

impl Engine {
    /// Queues a file that has settled.
    pub(super) fn push_settled(
        &mut self,
        name: Name,
        identity: Identity,
        writes: Writes,
        now: Now,
    ) {
        let hot = self.hot_files.get(&name).copied().unwrap_or_default();
        let mode = if hot.torn < TORN_MAX { UploadMode::Settled } else { UploadMode::Copy };
        let failures = Failures::default();
        let job = Job { key: name, identity, writes, mode, failures };
        let not_before = hot.next_at.filter(|at| mode == UploadMode::Copy && *at > now.instant);
        match not_before {
            None => self.queue.push(job),
            Some(at) => match self.mode {
                Mode::Daemon { .. } => self.queue.push_delayed(job, at),
                // A copy was stored in this run.
                Mode::Once => {
                    let local_path = self.local_path(&job.key);
                    self.note_failed(local_path, HOT);
                    self.summary.ended(Ending::Problem);
                }
            },
        }
    }

    /// Counts an upload that was torn by a change of its file.
    pub(super) fn note_torn(&mut self, name: &Name) {
        let hot = self.hot_files.entry(name.clone()).or_default();
        hot.torn = hot.torn.saturating_add(1);
    }

    /// Sets the time of the next copy, after one was stored or none could be made.
    pub(super) fn copy_later(&mut self, name: &Name, now: Now) {
        let hot = self.hot_files.entry(name.clone()).or_default();
        hot.next_at = Some(now.instant + self.options.settle.hot_every);
    }

    /// Takes the end of an upload that was not torn. `changed_since` is true if the file
    /// has changed again already.
    pub(super) fn note_not_torn(&mut self, job: &Job<Name>, changed_since: bool, now: Now) {
        if job.mode == UploadMode::Settled || !changed_since {
            self.hot_files.remove(&job.key);
            return;
        }
        // A file that never settles is limited by the settle wheel.
        if job.mode == UploadMode::Copy {
            self.copy_later(&job.key, now);
        }
        let local_path = self.local_path(&job.key);
        let change = self.problem(local_path, ProblemKind::Hot, HOT, job.identity, now);
        self.change(change);
    }
}
