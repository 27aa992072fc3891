//! Files on the wheel: found, looked at, settled, or given up.

use std::time::Instant;

use super::{Done, Engine, LOOK_MAX, Mode};
use crate::clock;
use crate::daemon::look::{self, Look};
use crate::daemon::round::Finding;
use crate::daemon::say;
use crate::db::Change;
use crate::identity::Identity;
use crate::problem::Kind;
use crate::queue::Job;
use crate::settle::Verdict;
use crate::watch::Name;

impl Engine {
    /// What a scan found pending.
    pub(in crate::daemon) fn found(&mut self, found: Finding) {
        if self.gave_up {
            self.summary.pending += found.len() as u64;
            return;
        }
        let now = clock::now();
        for (name, identity) in found {
            if self.wheel.found(name.clone(), identity, now) == Verdict::Settled {
                self.queue.push(job(name, identity));
            }
        }
    }

    pub(super) fn look(&mut self, now: Instant) {
        if !self.may_look() {
            return;
        }
        let due = self.wheel.take_due(LOOK_MAX, now);
        if due.is_empty() {
            return;
        }
        self.looking = true;
        let watches = self.watches.clone();
        self.tasks.spawn(async move { Done::Looked(look::look(watches, due).await) });
    }

    pub(super) fn looked(&mut self, looked: Vec<(Name, Look)>) {
        self.looking = false;
        let now = clock::now();
        for (name, look) in looked {
            match look {
                Look::File(identity) => match self.wheel.saw(&name, identity, now) {
                    Verdict::Settled => self.queue.push(job(name, identity)),
                    Verdict::Waiting => {}
                    Verdict::NeverSettled => self.never_settled(name, identity),
                    Verdict::Hot => {
                        self.never_settled(name.clone(), identity);
                        self.queue.push(Job { hot: true, ..job(name, identity) });
                    }
                },
                Look::Gone => {
                    self.wheel.forget(&name);
                    let local_path = self.local_path(&name);
                    self.change(Change::Forget { local_path });
                }
                Look::NotOurs | Look::Unknown => self.wheel.forget(&name),
            }
        }
    }

    fn never_settled(&mut self, name: Name, identity: Identity) {
        let local_path = self.local_path(&name);
        say::never_settled(&local_path, identity.size);
        if matches!(self.mode, Mode::Once) {
            self.wheel.forget(&name);
            self.note_failed(local_path.clone(), say::NEVER_SETTLED);
        }
        let change = self.problem(local_path, Kind::NeverSettled, say::NEVER_SETTLED, identity);
        self.change(change);
    }
}

fn job(key: Name, identity: Identity) -> Job<Name> {
    Job { key, identity, hot: false, failures: 0 }
}
