//! What the end of an upload means for its file, for the gate, and for the log.

use std::time::{Duration, Instant};

use s3up_core::Code;

use super::{Engine, Mode, Uploaded};
use crate::daemon::say;
use crate::db::Change;
use crate::problem::Kind;
use crate::queue::Job;
use crate::record::{Ack, Entry};
use crate::retry::{Fault, Ticket};
use crate::settle::Touch;
use crate::upload::Outcome;
use crate::watch::Name;

impl Engine {
    pub(super) fn uploaded(&mut self, uploaded: Uploaded) {
        let Uploaded { job, ticket, outcome, took } = uploaded;
        let now = Instant::now();
        let name = job.key.clone();
        match outcome {
            Outcome::Safe { change, sent, changed_since } => {
                self.gateway_answered(ticket);
                self.say_safe(&name, &change, sent, took);
                if changed_since {
                    self.queue.touch(&name);
                }
                self.record(name, *change);
            }
            Outcome::Nothing(change) => {
                self.gate.left(ticket);
                match change {
                    Some(change) => self.record(name, *change),
                    None => self.finish(&name, now),
                }
            }
            Outcome::Changed => {
                self.gate.left(ticket);
                self.queue.finish(&name);
                self.wheel.touch(name, Touch::Changed, now);
            }
            Outcome::Gone => {
                self.gate.left(ticket);
                let local_path = self.local_path(&name);
                self.record(name, Change::Forget { local_path });
            }
            Outcome::Problem { kind, reason } => self.refused(&job, ticket, kind, &reason),
            Outcome::Failed { fault, reason, code } => {
                self.failed(job, ticket, fault, &reason, code);
            }
        }
    }

    /// The gateway works, whatever it said.
    fn gateway_answered(&mut self, ticket: Ticket) {
        let was_away = self.gate.failures() > 0;
        self.gate.succeeded(ticket);
        if was_away && self.gate.failures() == 0 {
            self.unauthorized = false;
            say::back(self.wheel.len() + self.queue.len());
        }
    }

    fn say_safe(&mut self, name: &Name, change: &Change, sent: bool, took: Duration) {
        let Change::Uploaded(upload) = change else { return };
        let bytes = upload.identity.size;
        self.summary.uploaded += 1;
        self.summary.bytes += bytes;
        let path = self.local_path(name);
        if sent { say::uploaded(&path, bytes, took) } else { say::known_already(&path, bytes) }
    }

    fn refused(&mut self, job: &Job<Name>, ticket: Ticket, kind: Kind, reason: &str) {
        match kind {
            Kind::Unreadable | Kind::NeverSettled => self.gate.left(ticket),
            Kind::Refused | Kind::Deferred | Kind::Hot => self.gateway_answered(ticket),
        }
        let local_path = self.local_path(&job.key);
        say::problem(&local_path, kind.as_str(), reason);
        self.note_failed(local_path.clone(), reason);
        let change = self.problem(local_path, kind, reason, job.identity);
        self.record(job.key.clone(), change);
    }

    fn failed(
        &mut self,
        mut job: Job<Name>,
        ticket: Ticket,
        fault: Fault,
        reason: &str,
        code: Option<Code>,
    ) {
        let now = Instant::now();
        let closed_for = self.gate.failed(ticket, fault, random(), now);
        self.say_failed(&job.key, reason, code, closed_for);
        let touched = self.queue.finish(&job.key);
        job.failures += 1;
        if touched {
            self.wheel.touch(job.key, Touch::Changed, now);
            return;
        }
        if matches!(self.mode, Mode::Once) && self.is_hopeless(&job, fault) {
            let local_path = self.local_path(&job.key);
            self.note_failed(local_path, reason);
            return;
        }
        // The file waits for itself, so that one that breaks again and again
        // does not hold up the others.
        let delay = self.config.retry.delay(job.failures, fault, random());
        self.queue.push_later(job, now + delay);
    }

    /// One pass ends some time: when the gateway stays away, or one file fails
    /// again and again.
    fn is_hopeless(&mut self, job: &Job<Name>, fault: Fault) -> bool {
        let tries_max = self.config.retry.quick_tries;
        self.gave_up |= fault.slow || self.gate.failures() > tries_max;
        self.gave_up || job.failures > tries_max
    }

    fn say_failed(
        &mut self,
        name: &Name,
        reason: &str,
        code: Option<Code>,
        closed_for: Option<Duration>,
    ) {
        if code == Some(Code::Unauthorized) {
            if !self.unauthorized {
                say::unauthorized(reason);
            }
            self.unauthorized = true;
            return;
        }
        // Uploads that broke together, and the later tries of a long absence,
        // say nothing new.
        if let Some(delay) = closed_for
            && self.gate.failures().is_power_of_two()
        {
            say::failed(&self.local_path(name), reason, delay);
        }
    }

    /// To the database; the file is done with when it is there.
    fn record(&mut self, name: Name, change: Change) {
        self.queue.recording(&name);
        self.entries.push_back(Entry { change, ack: Ack::Engine(name) });
    }
}

/// In 0..1; the middle where the system has no randomness to give.
pub(super) fn random() -> f64 {
    getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1_u64 << 53) as f64)
}
