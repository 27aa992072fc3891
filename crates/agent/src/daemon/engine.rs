//! The engine: what each message changes, and what is started next.
//!
//! A file is in one place at a time: on the wheel (settling), in the queue
//! (ready), on its way, or being recorded. Each message moves it on. An event
//! moves it back to the wheel, except while it is on its way: then it is marked
//! and goes back when it returns.

mod outcome;
mod scans;
mod settling;

use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::look::Look;
use super::round::{Finding, Scanned};
use super::say;
use super::summary::Summary;
use crate::client::Gateway;
use crate::clock;
use crate::config::Config;
use crate::db::{Change, Reader};
use crate::decide::{ParkedFiles, Policy, UploadExisting};
use crate::identity::Identity;
use crate::inotify::{Degraded, Handle, News};
use crate::problem::Kind;
use crate::queue::{Job, Queue, Touched};
use crate::record::{Ack, Entry};
use crate::retry::{Gate, Ticket};
use crate::settle::{Touch, Wheel};
use crate::upload::{Manner, Order, Outcome, Uploader};
use crate::watch::{Name, Watch, WatchIndex};

/// Files that wait here at most before a scan has to: some 200 bytes each.
/// Events are always taken.
const BACKLOG_MAX: usize = 100_000;
/// Sent, but not in the database: with more, uploading waits for the disk.
const RECORDING_MAX: usize = 4096;
/// Changes that wait for the database at most before looking waits as well.
const ENTRIES_MAX: usize = 4096;
/// Paths looked at in one go.
const LOOK_MAX: usize = 512;
/// How often each root is checked for having been replaced or mounted.
const ROOTS_EVERY: Duration = Duration::from_secs(5);
/// How often what cannot be watched is scanned, at least one scan's time apart.
const DEGRADED_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(super) enum Mode {
    Daemon { watcher: Option<Handle> },
    Once,
}

/// What the engine works with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) watches: Vec<Arc<Watch>>,
    pub(super) existing: Vec<UploadExisting>,
    pub(super) gateway: Gateway,
    pub(super) reader: Reader,
    pub(super) entries: mpsc::Sender<Entry>,
    pub(super) findings: mpsc::Sender<Finding>,
}

#[derive(Debug)]
pub(super) enum Done {
    Uploaded(Box<Uploaded>),
    Looked(Vec<(Name, Look)>),
    Roots(Vec<Option<(u64, u64)>>),
    Scanned(Vec<Scanned>),
}

#[derive(Debug)]
pub(super) struct Uploaded {
    job: Job<Name>,
    ticket: Ticket,
    outcome: Outcome,
    took: Duration,
}

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) tasks: JoinSet<Done>,
    config: Config,
    mode: Mode,
    parts: Option<Parts>,
    watches: Vec<Arc<Watch>>,
    existing: Vec<UploadExisting>,
    uploader: Arc<Uploader>,
    wheel: Wheel<Name>,
    queue: Queue<Name>,
    gate: Gate,
    entries: VecDeque<Entry>,
    scans: Scans,
    looking: bool,
    unauthorized: bool,
    gave_up: bool,
    stopping: bool,
    summary: Summary,
}

/// When what is scanned.
#[derive(Debug)]
struct Scans {
    running: bool,
    wanted: BTreeSet<WatchIndex>,
    /// No earlier than this: a storm of overflows is one scan after another.
    earliest: Instant,
    next_at: Instant,
    last_took: Duration,
    roots: Option<Vec<Option<(u64, u64)>>>,
    roots_at: Instant,
    looking_at_roots: bool,
    degraded: Option<Degraded>,
}

impl Engine {
    pub(super) fn new(config: Config, mode: Mode, parts: Parts) -> Engine {
        let now = Instant::now();
        Engine {
            tasks: JoinSet::new(),
            wheel: Wheel::new(config.settle),
            queue: Queue::new(config.lanes),
            gate: Gate::new(config.retry),
            uploader: Arc::new(Uploader {
                gateway: parts.gateway.clone(),
                reader: parts.reader.clone(),
            }),
            watches: parts.watches.clone(),
            existing: parts.existing.clone(),
            config,
            mode,
            parts: Some(parts),
            entries: VecDeque::new(),
            scans: Scans::new(now),
            looking: false,
            unauthorized: false,
            gave_up: false,
            stopping: false,
            summary: Summary::default(),
        }
    }

    pub(super) fn begin(&mut self) {
        say::started(&self.config);
        if let Mode::Daemon { watcher } = &self.mode {
            let state = if watcher.is_some() { "ok" } else { "degraded: no inotify" };
            self.agent_state("watcher", state.to_owned());
        }
        self.scans.wanted.extend(self.watches.iter().map(|watch| watch.index));
        self.tick(Instant::now());
    }

    /// What happened in the watched folders.
    pub(super) fn news(&mut self, news: News) {
        let now = Instant::now();
        for (name, touch) in news.touched {
            self.touch(name, touch, now);
        }
        self.scans.wanted.extend(news.rescan);
        if news.overflow {
            say::overflow();
            self.scans.wanted.extend(self.watches.iter().map(|watch| watch.index));
        }
        if news.degraded.is_some() {
            self.degraded(news.degraded);
        }
        self.tick(now);
    }

    /// True where a scan may bring more.
    pub(super) fn has_room(&self) -> bool {
        let backlog = self.wheel.len() + self.queue.len();
        !self.stopping && (self.gave_up || backlog < BACKLOG_MAX)
    }

    /// A change is in the database.
    pub(super) fn recorded(&mut self, name: &Name) {
        self.finish(name, Instant::now());
    }

    pub(super) fn has_entries(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(super) fn give_entry(&mut self, permit: mpsc::Permit<'_, Entry>) {
        if let Some(entry) = self.entries.pop_front() {
            permit.send(entry);
        }
    }

    pub(super) fn done(&mut self, done: Result<Done, JoinError>) {
        let now = Instant::now();
        match done {
            Ok(Done::Uploaded(uploaded)) => self.uploaded(*uploaded),
            Ok(Done::Looked(looked)) => self.looked(looked),
            Ok(Done::Roots(roots)) => self.saw_roots(roots),
            Ok(Done::Scanned(scanned)) => self.scanned(scanned, now),
            Err(err) => say::task_died(&err),
        }
        self.tick(now);
    }

    /// Starts whatever is due: looks, scans, a check of the roots.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.stopping {
            return;
        }
        self.look(now);
        self.scan(now);
        self.check_roots(now);
    }

    /// Starts as many uploads as may run.
    pub(super) fn dispatch(&mut self, now: Instant) {
        self.queue.ripen(now);
        while !self.stopping
            && !self.gave_up
            && self.queue.recording_count() < RECORDING_MAX
            && self.gate.is_open(now)
        {
            let Some(job) = self.queue.start() else { return };
            let Some(ticket) = self.gate.enter(now) else { return };
            self.start(job, ticket);
        }
    }

    /// When there is something to do without a message.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        if self.stopping {
            return None;
        }
        let look = self.wheel.next_due().filter(|_| self.may_look());
        // What could be started was started by `dispatch`; the rest waits for
        // one that is under way, which is a message.
        let gate = self.gate.opens_at().filter(|_| self.queue.waiting_count() > 0);
        let [gate, later] = [gate, self.queue.next_later()].map(|at| at.filter(|at| *at > now));
        let daemon = matches!(self.mode, Mode::Daemon { .. });
        let scan = (daemon && !self.scans.running).then_some(self.scans.next_at);
        let wanted =
            (!self.scans.running && !self.scans.wanted.is_empty()).then_some(self.scans.earliest);
        let roots = (daemon && !self.scans.looking_at_roots).then_some(self.scans.roots_at);
        [look, gate, later, scan, wanted, roots].into_iter().flatten().min()
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
        // Scans and looks end with their channels; uploads may finish.
        self.parts = None;
    }

    /// True where nothing is left to do in this mode. `findings` is true where
    /// a scan has told something that was not taken yet.
    pub(super) fn is_done(&self, findings: bool) -> bool {
        let uploading = self.queue.on_its_way_count() + self.queue.recording_count();
        if uploading > 0 || !self.entries.is_empty() {
            return false;
        }
        let scanning = self.scans.running || !self.scans.wanted.is_empty() || findings;
        let idle = !scanning && !self.looking;
        let nothing_waits = self.wheel.is_empty() && self.queue.is_empty();
        match self.mode {
            Mode::Daemon { .. } => self.stopping,
            Mode::Once => self.stopping || (idle && (nothing_waits || self.gave_up)),
        }
    }

    pub(super) fn end(mut self) -> Summary {
        let waiting = self.wheel.len() + self.queue.len();
        self.summary.pending += waiting as u64;
        self.summary.gave_up = self.gave_up;
        say::stopped(waiting);
        self.summary
    }

    fn may_look(&self) -> bool {
        !self.looking && self.entries.len() < ENTRIES_MAX
    }

    /// One pass names what failed; the daemon has `status` for that.
    fn note_failed(&mut self, local_path: String, reason: &str) {
        if matches!(self.mode, Mode::Once) {
            self.summary.problems += 1;
            self.summary.failed.push((local_path, reason.to_owned()));
        }
    }

    fn touch(&mut self, name: Name, touch: Touch, now: Instant) {
        if self.queue.touch(&name) == Touched::Free {
            self.wheel.touch(name, touch, now);
        }
    }

    /// The file is done with; one that was touched meanwhile settles again.
    fn finish(&mut self, name: &Name, now: Instant) {
        if self.queue.finish(name) {
            self.wheel.touch(name.clone(), Touch::Changed, now);
        }
    }

    fn start(&mut self, job: Job<Name>, ticket: Ticket) {
        let Some(watch) = self.watch(job.key.watch) else { return };
        let order = Order {
            watch: watch.clone(),
            path: job.key.path.clone(),
            identity: job.identity,
            policy: self.policy(watch.index),
            failures: job.failures,
            manner: if job.hot { Manner::Hot } else { Manner::Settled },
        };
        let uploader = self.uploader.clone();
        self.tasks.spawn(async move {
            let start = Instant::now();
            let upload = AssertUnwindSafe(uploader.upload(&order)).catch_unwind();
            let outcome = upload.await.unwrap_or_else(|_| Outcome::died());
            let took = start.elapsed();
            Done::Uploaded(Box::new(Uploaded { job, ticket, outcome, took }))
        });
    }

    fn problem(&self, local_path: String, kind: Kind, reason: &str, identity: Identity) -> Change {
        Change::Problem {
            local_path,
            kind,
            reason: reason.to_owned(),
            identity,
            config: self.config.fingerprint.clone(),
            at: clock::wall_seconds(),
        }
    }

    fn change(&mut self, change: Change) {
        self.entries.push_back(Entry { change, ack: Ack::Nobody });
    }

    fn agent_state(&mut self, key: &'static str, value: String) {
        self.change(Change::Agent { key, value });
    }

    fn policy(&self, index: WatchIndex) -> Policy {
        let existing = self.existing.get(usize::from(index)).copied();
        Policy {
            upload_existing: existing.unwrap_or(UploadExisting::BaselineIsComplete),
            bytes_max: self.config.file_bytes_max,
            config: self.config.fingerprint.clone(),
            parked: match self.mode {
                Mode::Daemon { .. } => ParkedFiles::RetryMendable,
                Mode::Once => ParkedFiles::RetryAll,
            },
        }
    }

    fn watch(&self, index: WatchIndex) -> Option<Arc<Watch>> {
        self.watches.get(usize::from(index)).cloned()
    }

    fn local_path(&self, name: &Name) -> String {
        self.watch(name.watch).map(|watch| watch.local_path(&name.path)).unwrap_or_default()
    }
}
