//! Applies the outcome of an upload to its file and to the circuit breaker, and
//! logs it.

use std::time::Duration;

use s3up_core::Code;

use super::state::{Engine, Mode, UploadResult};
use crate::daemon::log_events;
use crate::daemon::random::random;
use crate::database::Change;
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::files::watch::Name;
use crate::settling::{Clocks, FileEvent};
use crate::states::problem::ProblemKind;
use crate::uploading::circuit_breaker::Permit;
use crate::uploading::outcome::Outcome;
use crate::uploading::queue::Job;
use crate::uploading::retry::RetryHint;

/// A failed upload that is to be retried.
struct Failure<'f> {
    hint: RetryHint,
    reason: &'f str,
    code: Option<Code>,
}

impl Engine {
    pub(super) fn uploaded(&mut self, result: UploadResult, now: Clocks) {
        let UploadResult { job, permit, outcome, took } = result;
        let name = job.key.clone();
        match outcome {
            Outcome::Stored { change, sent, changed_since } => {
                self.gateway_answered(permit);
                self.note_stored(&name, &change, sent, took);
                if changed_since {
                    self.queue.note_change(&name);
                }
                self.record(name, *change);
            }
            Outcome::Skipped(change) => {
                self.breaker.released(permit);
                match change {
                    Some(change) => self.record(name, *change),
                    None => self.finish(&name, now.instant),
                }
            }
            Outcome::Changed => {
                self.breaker.released(permit);
                self.queue.finish(&name);
                self.wheel.note_event(name, FileEvent::Changed, now.instant);
            }
            Outcome::Gone => {
                self.breaker.released(permit);
                let local_path = self.local_path(&name);
                self.record(name, Change::Forget { local_path });
            }
            Outcome::Problem { kind, reason } => {
                match kind {
                    ProblemKind::Unreadable | ProblemKind::NeverSettled => {
                        self.breaker.released(permit);
                    }
                    ProblemKind::Refused | ProblemKind::Deferred | ProblemKind::Hot => {
                        self.gateway_answered(permit);
                    }
                }
                self.has_problem(&job, kind, &reason, now);
            }
            Outcome::Failed { hint, reason, code } => {
                self.failed(job, permit, &Failure { hint, reason: &reason, code }, now);
            }
        }
    }

    /// Takes any answer of the gateway as a proof that it works.
    fn gateway_answered(&mut self, permit: Permit) {
        let had_failed = self.breaker.failures() > 0;
        self.breaker.succeeded(permit);
        if had_failed && self.breaker.failures() == 0 {
            self.unauthorized = false;
            log_events::gateway_recovered(self.wheel.len() + self.queue.len());
        }
    }

    fn note_stored(&mut self, name: &Name, change: &Change, sent: bool, took: Duration) {
        let Change::Uploaded(upload) = change else { return };
        let bytes = upload.identity.size;
        self.summary.uploaded += 1;
        self.summary.bytes += bytes;
        let path = self.local_path(name);
        if sent {
            log_events::upload_done(&path, bytes, took);
        } else {
            log_events::upload_unchanged(&path, bytes);
        }
    }

    fn has_problem(&mut self, job: &Job<Name>, kind: ProblemKind, reason: &str, now: Clocks) {
        let local_path = self.local_path(&job.key);
        log_events::file_problem(&local_path, kind.as_str(), reason);
        self.note_failed(local_path.clone(), reason);
        let change = self.problem(local_path, kind, reason, job.identity, now);
        self.record(job.key.clone(), change);
    }

    fn failed(&mut self, mut job: Job<Name>, permit: Permit, failure: &Failure<'_>, now: Clocks) {
        let blocked_for = self.breaker.failed(permit, failure.hint, random(), now.instant);
        self.log_failed(&job.key, failure, blocked_for);
        let changed = self.queue.finish(&job.key);
        job.failures += 1;
        if changed {
            self.wheel.note_event(job.key, FileEvent::Changed, now.instant);
            return;
        }
        if matches!(self.mode, Mode::Once) && self.is_hopeless(&job, failure.hint) {
            let local_path = self.local_path(&job.key);
            self.summary.add_not_uploaded(local_path, failure.reason);
            return;
        }
        // The file has a delay of its own, so that one that fails again and again
        // does not delay the others.
        let delay = self.options.retry.delay(job.failures, failure.hint, random());
        self.queue.push_delayed(job, now.instant + delay);
    }

    /// True if `s3up scan` gives up: on everything if the gateway keeps failing, or
    /// on one file that keeps failing.
    fn is_hopeless(&mut self, job: &Job<Name>, hint: RetryHint) -> bool {
        let tries_max = self.options.retry.quick_tries;
        self.gave_up |= hint.slow || self.breaker.failures() > tries_max;
        self.gave_up || job.failures > tries_max
    }

    fn log_failed(&mut self, name: &Name, failure: &Failure<'_>, blocked_for: Option<Duration>) {
        if failure.code == Some(Code::Unauthorized) {
            if !self.unauthorized {
                log_events::unauthorized(failure.reason);
            }
            self.unauthorized = true;
            return;
        }
        // Uploads that failed together are logged once, and the retries of a long
        // outage less and less often.
        if let Some(delay) = blocked_for
            && self.breaker.failures().is_power_of_two()
        {
            log_events::upload_failed(&self.local_path(name), failure.reason, delay);
        }
    }

    /// Sends a change to the database. Its commit ends the work on the file.
    fn record(&mut self, name: Name, change: Change) {
        self.queue.recording(&name);
        let on_commit = OnCommit::NotifyEngine(name);
        self.requests.push_back(WriteRequest { change, on_commit });
    }
}
