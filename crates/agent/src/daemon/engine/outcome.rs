//! Applies the outcome of an upload to its file and to the circuit breaker, and
//! logs it.

use std::time::Duration;

use s3up_core::Code;

use super::state::{Engine, Mode, UploadResult};
use crate::clock;
use crate::daemon::log_events;
use crate::daemon::summary::Ending;
use crate::database::Change;
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::files::watch::Name;
use crate::files::writes::{Evidence, Writes};
use crate::random::random;
use crate::reporting::task::CallResult;
use crate::settling::ClockReading;
use crate::states::agent_fact::AgentFact;
use crate::states::gateway_state::{GatewayStatus, after_call};
use crate::states::problem::ProblemKind;
use crate::uploading::circuit_breaker::Permit;
use crate::uploading::classify::Scope;
use crate::uploading::outcome::{Outcome, SkippedAs};
use crate::uploading::queue::Job;
use crate::uploading::retry::RetryHint;
use crate::uploading::task::UploadMode;

/// A failed upload that is to be retried.
struct Failure<'f> {
    hint: RetryHint,
    scope: Scope,
    reason: &'f str,
    code: Option<Code>,
}

impl Engine {
    pub(super) fn uploaded(&mut self, result: UploadResult, now: ClockReading) {
        let UploadResult { job, permit, epoch, outcome, took } = result;
        let name = job.key.clone();
        match outcome {
            Outcome::Stored { change, sent, changed_since } => {
                self.gateway_answered(permit);
                self.concurrency.succeeded();
                let ending = self.note_stored(&name, &change, sent, took);
                if changed_since {
                    self.queue.note_change(&name, changed(&job));
                }
                self.record_end(&name, ending);
                self.record(name, *change);
                self.note_not_torn(&job, changed_since, now);
            }
            Outcome::NotObserved { reason } => {
                self.breaker.released(permit);
                self.hot_files.remove(&name);
                self.not_observed(&name, &reason);
                self.finish(&name, now.instant);
            }
            Outcome::Skipped { as_state, change } => {
                self.breaker.released(permit);
                if job.mode == UploadMode::Hot {
                    // The gateway has its content already, and it may change a moment later.
                    self.wheel.note_hot_stored(&name);
                }
                self.hot_files.remove(&name);
                self.record_end(&name, ending(&as_state));
                if let SkippedAs::Problem(reason) = as_state {
                    self.note_failed(self.local_path(&name), &reason);
                }
                match change {
                    Some(change) => self.record(name, *change),
                    None => self.finish(&name, now.instant),
                }
            }
            Outcome::Changed => {
                self.breaker.released(permit);
                if job.mode == UploadMode::Hot {
                    self.wheel.note_hot_torn(&name);
                }
                self.note_torn(&name);
                self.queue.note_change(&name, changed(&job));
                self.finish(&name, now.instant);
            }
            Outcome::Gone => {
                self.breaker.released(permit);
                self.hot_files.remove(&name);
                let local_path = self.local_path(&name);
                self.record_end(&name, Ending::Gone);
                self.record(name, Change::Forget { local_path });
            }
            Outcome::Problem { kind, reason } => {
                match kind {
                    ProblemKind::Unreadable | ProblemKind::NeverSettled | ProblemKind::Failing => {
                        self.breaker.released(permit);
                    }
                    // No copy could be made: nothing was sent.
                    ProblemKind::Hot if job.mode == UploadMode::Copy => {
                        self.breaker.released(permit);
                        self.copy_later(&name, now);
                    }
                    ProblemKind::Refused | ProblemKind::Deferred | ProblemKind::Hot => {
                        self.gateway_answered(permit);
                    }
                }
                self.has_problem(&job, kind, &reason, now);
            }
            Outcome::Failed { scope: Scope::Concurrency, hint, reason, .. } => {
                self.too_many_uploads(job, permit, (epoch, hint), &reason, now);
            }
            Outcome::Failed { hint, scope, reason, code } => {
                self.failed(job, permit, &Failure { hint, scope, reason: &reason, code }, now);
            }
        }
    }

    /// Treats any answer of the gateway as a proof that it works.
    fn gateway_answered(&mut self, permit: Permit) {
        self.gateway_is(GatewayStatus::Ok, None);
        let had_failed = self.breaker.failures() > 0;
        self.breaker.succeeded(permit);
        if self.breaker.failures() > 0 {
            return;
        }
        if had_failed {
            self.unauthorized = false;
            log_events::gateway_recovered(self.wheel.len() + self.queue.len());
        }
        // No upload may have failed: the state is ok now, and the next heartbeat finds no outage.
        let noticed_by_heartbeat = std::mem::take(&mut self.heartbeat_failed_first);
        if had_failed || noticed_by_heartbeat {
            self.retry_problems();
        }
    }

    /// Applies the result of a heartbeat.
    pub(in crate::daemon) fn heartbeat_sent(&mut self, result: &CallResult, now: ClockReading) {
        let was_unavailable =
            self.gateway.as_ref().is_some_and(|it| it.status != GatewayStatus::Ok);
        let was_failing =
            std::mem::replace(&mut self.heartbeats_fail, result.status != GatewayStatus::Ok);
        self.gateway_is(result.status, result.reason.as_deref());
        if self.heartbeats_fail {
            self.heartbeat_failed_first |= !was_failing;
        } else if was_unavailable || was_failing {
            self.heartbeat_failed_first = false;
            self.breaker.probe_now(now.instant);
            self.retry_problems();
        }
        self.tick(now);
    }

    /// Publishes the state of the gateway if it is another one.
    fn gateway_is(&mut self, status: GatewayStatus, reason: Option<&str>) {
        let at = clock::wall_seconds();
        if let Some(state) = after_call(self.gateway.as_ref(), status, reason, at) {
            self.publish(AgentFact::Gateway(state.clone()));
            self.gateway = Some(state);
        }
    }

    /// Scans again if a problem may have passed: the gateway may be configured otherwise now.
    fn retry_problems(&mut self) {
        if std::mem::take(&mut self.has_problems) && matches!(self.mode, Mode::Daemon { .. }) {
            self.scans.requested.extend(self.watches.iter().map(|watch| watch.index));
        }
    }

    /// Handles a 429: fewer uploads at a time from now on. If this was the only one, the gateway has
    /// no room for any, and the circuit breaker waits.
    fn too_many_uploads(
        &mut self,
        mut job: Job<Name>,
        permit: Permit,
        (epoch, hint): (u64, RetryHint),
        reason: &str,
        now: ClockReading,
    ) {
        if self.concurrency.refused(epoch) {
            log_events::concurrency_lowered(self.concurrency.limit(), reason);
        }
        let changed = self.queue.finish(&job.key);
        let alone = self.queue.uploading_count() == 0;
        let blocked_for = if alone {
            self.breaker.failed(permit, hint, random(), now.instant)
        } else {
            self.breaker.released(permit);
            None
        };
        if let Some(writes) = changed {
            job.writes.add(writes);
            self.wheel.note_event(job.key, job.writes, now.instant);
            return;
        }
        if let Some(delay) = blocked_for {
            self.log_blocked(&job.key, reason, delay);
            job.failures.count += 1;
            if matches!(self.mode, Mode::Once) && self.is_hopeless(&job, hint) {
                let local_path = self.local_path(&job.key);
                self.summary.add_not_uploaded(local_path, reason);
                return;
            }
        }
        self.queue.push(job);
    }

    fn note_stored(&mut self, name: &Name, change: &Change, sent: bool, took: Duration) -> Ending {
        let Change::Uploaded(upload) = change else {
            log_events::metadata_updated(&self.local_path(name));
            return Ending::Unchanged;
        };
        let bytes = upload.identity.size;
        self.summary.uploaded += 1;
        self.summary.bytes += bytes;
        let path = self.local_path(name);
        if sent {
            log_events::upload_done(&path, bytes, took);
        } else {
            log_events::upload_unchanged(&path, bytes);
        }
        Ending::Uploaded
    }

    fn has_problem(&mut self, job: &Job<Name>, kind: ProblemKind, reason: &str, now: ClockReading) {
        let local_path = self.local_path(&job.key);
        log_events::file_problem(&local_path, kind, reason);
        self.has_problems = true;
        self.note_failed(local_path.clone(), reason);
        let change = self.problem(local_path, kind, reason, job.identity, now);
        self.record_end(&job.key, Ending::Problem);
        self.record(job.key.clone(), change);
    }

    fn failed(
        &mut self,
        mut job: Job<Name>,
        permit: Permit,
        failure: &Failure<'_>,
        now: ClockReading,
    ) {
        let own = job.failures.is_own(self.breaker.successes());
        let blocked_for = match failure.scope {
            Scope::Gateway | Scope::Concurrency => {
                self.breaker.failed(permit, failure.hint, random(), now.instant)
            }
            Scope::File => {
                self.breaker.file_failed(permit, own, failure.hint, random(), now.instant)
            }
        };
        if failure.code == Some(Code::Unauthorized) {
            self.gateway_is(GatewayStatus::KeyRefused, Some(failure.reason));
        } else if blocked_for.is_some() {
            self.gateway_is(GatewayStatus::Unavailable, Some(failure.reason));
        }
        self.log_failed(&job, failure, blocked_for);
        let changed = self.queue.finish(&job.key);
        job.failures.count += 1;
        job.failures.own += u32::from(own && failure.scope == Scope::File);
        job.failures.successes_before = self.breaker.successes();
        if let Some(writes) = changed {
            job.writes.add(writes);
            self.wheel.note_event(job.key, job.writes, now.instant);
            return;
        }
        if matches!(self.mode, Mode::Once) && self.is_hopeless(&job, failure.hint) {
            let local_path = self.local_path(&job.key);
            self.summary.add_not_uploaded(local_path, failure.reason);
            return;
        }
        if job.failures.own > self.options.retry.quick_tries {
            self.keeps_failing(&job, failure.reason, now);
            return;
        }
        // The file has a delay of its own, so that one that fails again and again
        // does not delay the others.
        let delay = self.options.retry.delay(job.failures.count, failure.hint, random());
        self.queue.push_delayed(job, now.instant + delay);
    }

    /// Records a file that fails while others are stored as a problem. The next scan retries it.
    fn keeps_failing(&mut self, job: &Job<Name>, reason: &str, now: ClockReading) {
        let own = job.failures.own;
        let reason = format!("failed {own} times while other files were stored: {reason}");
        self.has_problem(job, ProblemKind::Failing, &reason, now);
    }

    /// Returns true if `s3up scan` gives up: on everything if the gateway keeps failing, or
    /// on one file that keeps failing.
    fn is_hopeless(&mut self, job: &Job<Name>, hint: RetryHint) -> bool {
        let tries_max = self.options.retry.quick_tries;
        self.gave_up |= hint.slow || self.breaker.failures() > tries_max;
        self.gave_up || job.failures.count > tries_max
    }

    fn log_failed(
        &mut self,
        job: &Job<Name>,
        failure: &Failure<'_>,
        blocked_for: Option<Duration>,
    ) {
        if failure.code == Some(Code::Unauthorized) {
            if !self.unauthorized {
                log_events::unauthorized(failure.reason);
            }
            self.unauthorized = true;
            return;
        }
        match blocked_for {
            Some(delay) => self.log_blocked(&job.key, failure.reason, delay),
            // One file that fails by itself is logged once; it becomes a problem later.
            None if failure.scope == Scope::File && job.failures.count == 0 => {
                let delay = self.options.retry.quick_delay;
                log_events::upload_failed(&self.local_path(&job.key), failure.reason, delay);
            }
            None => {}
        }
    }

    /// Logs that uploads wait. Uploads that failed together are logged once, and the retries of a
    /// long outage less and less often.
    fn log_blocked(&self, name: &Name, reason: &str, delay: Duration) {
        if self.breaker.failures().is_power_of_two() {
            log_events::upload_failed(&self.local_path(name), reason, delay);
        }
    }

    /// Sends a change to the database. Its commit ends the work on the file.
    fn record(&mut self, name: Name, change: Change) {
        self.note_activity();
        self.queue.recording(&name);
        let on_commit = OnCommit::TellEngine(name);
        self.requests.push_back(WriteRequest { change, on_commit });
    }
}

fn ending(as_state: &SkippedAs) -> Ending {
    match as_state {
        SkippedAs::Protected | SkippedAs::Baseline => Ending::Unchanged,
        SkippedAs::Excluded => Ending::Excluded,
        SkippedAs::Problem(_) => Ending::Problem,
    }
}

/// Returns what is known of a file that changed during its upload, without an event.
fn changed(job: &Job<Name>) -> Writes {
    Writes { evidence: Evidence::Written, ..job.writes }
}
