//! Files that change more often than an upload takes.
//!
//! An upload of a file that changes meanwhile is torn: it is refused, and the file
//! settles again. Without a count that could continue for ever. So after some torn
//! uploads (`uploading::hot_file`) a copy of the file is uploaded, and as long as the file keeps changing,
//! another one at most each `stability.hot_interval_seconds`. Between them the file is
//! a problem, marked `hot`.

use super::state::{Engine, Mode};
use crate::daemon::summary::Ending;
use crate::files::identity::Identity;
use crate::files::watch::Name;
use crate::files::writes::Writes;
use crate::settling::ClockReading;
use crate::states::problem::ProblemKind;
use crate::uploading::queue::{Failures, Job};
use crate::uploading::task::UploadMode;

const HOT: &str = "it changes more often than an upload takes; a copy of it is stored from time to \
                   time, and the last changes are not";

impl Engine {
    /// Queues a file that has settled.
    pub(super) fn push_settled(
        &mut self,
        name: Name,
        identity: Identity,
        writes: Writes,
        now: ClockReading,
    ) {
        let hot = self.hot_files.get(&name).copied().unwrap_or_default();
        let (mode, not_before) = hot.next_upload(now.instant);
        let failures = Failures::default();
        let job = Job { key: name, identity, writes, mode, failures };
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
        self.hot_files.entry(name.clone()).or_default().note_torn();
    }

    /// Sets the time of the next copy, after one was stored or none could be made.
    pub(super) fn copy_later(&mut self, name: &Name, now: ClockReading) {
        let at = now.instant + self.options.settle.hot_every;
        self.hot_files.entry(name.clone()).or_default().copy_not_before(at);
    }

    /// Records the end of an upload that was not torn. `changed_since` is true if the file
    /// has changed again already.
    pub(super) fn note_not_torn(
        &mut self,
        job: &Job<Name>,
        changed_since: bool,
        now: ClockReading,
    ) {
        if job.mode == UploadMode::Hot && !changed_since {
            // It may change a moment later, while its last upload forbids the next one.
            self.wheel.note_hot_stored(&job.key);
        }
        if job.mode == UploadMode::Settled || !changed_since {
            self.hot_files.remove(&job.key);
            return;
        }
        // A file that never settles is limited by the settle wheel.
        if job.mode == UploadMode::Copy {
            self.copy_later(&job.key, now);
        }
        self.still_hot(&job.key, job.identity, now);
    }

    /// Records that the last changes of a hot file wait for its next upload.
    pub(super) fn still_hot(&mut self, name: &Name, identity: Identity, now: ClockReading) {
        let local_path = self.local_path(name);
        let change = self.problem(local_path, ProblemKind::Hot, HOT, identity, now);
        self.change(change);
    }
}
