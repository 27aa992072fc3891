//! The engine: changes the state with each message, and starts what is due.
//!
//! A file is in one place at a time: on the wheel (settling), in the queue
//! (ready), being uploaded, or being recorded. Each message moves it on. An event
//! moves it back to the wheel. During an upload an event only marks the file, and
//! it goes back to the wheel when the upload is over.

mod delayed_checks;
mod hot_files;
mod outcome;
mod scans;
mod settling;
mod state;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinError;

pub(super) use self::state::{Engine, EngineOptions, Mode, Parts};
use self::state::{TaskResult, UploadResult};
use super::log_events;
use super::summary::{Ending, Summary};
use crate::clock;
use crate::database::Change;
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::files::identity::Identity;
use crate::files::watch::{Name, Watch, WatchIndex};
use crate::files::writes::Writes;
use crate::scanning::scan::ScanReport;
use crate::settling::ClockReading;
use crate::states::agent_fact::AgentFact;
use crate::states::decide::{FilePolicy, RetryProblems};
use crate::states::existing_files::{confirm_before_ns, upload_existing};
use crate::states::problem::ProblemKind;
use crate::states::watcher_state::WatcherState;
use crate::uploading::circuit_breaker::Permit;
use crate::uploading::outcome::Outcome;
use crate::uploading::queue::{ChangeTarget, Job};
use crate::uploading::task::UploadTask;
use crate::watching::WatchEvents;

/// Maximum number of waiting files before a scan has to wait. A file takes about
/// 200 bytes. Events are always accepted.
const BACKLOG_MAX: usize = 100_000;
/// Maximum number of uploaded files that are not in the database yet. Beyond it,
/// uploads wait for the disk.
const RECORDING_MAX: usize = 4096;
/// Maximum number of changes that wait for the database before checks of files
/// wait as well.
const REQUESTS_MAX: usize = 4096;

impl Engine {
    pub(super) fn begin(&mut self, now: ClockReading) {
        let state = match &self.mode {
            Mode::Daemon { .. } if self.watches.iter().all(|watch| watch.poll) => WatcherState::Off,
            Mode::Daemon { watcher: Some(_) } => WatcherState::Complete,
            Mode::Daemon { watcher: None } => {
                WatcherState::Degraded(log_events::NOT_STARTED.to_owned())
            }
            Mode::Once => WatcherState::Off,
        };
        self.publish(AgentFact::Watcher(state));
        self.scans.requested.extend(self.watches.iter().map(|watch| watch.index));
        self.tick(now);
    }

    /// Applies the events of the watched directories.
    pub(super) fn watch_events(&mut self, events: WatchEvents, now: ClockReading) {
        for (name, event) in events.files {
            self.file_event(name, event, now.instant);
        }
        self.scans.requested.extend(events.rescan);
        if events.overflow {
            log_events::watch_overflow();
            self.scans.requested.extend(self.watches.iter().map(|watch| watch.index));
        }
        if let Some(degraded) = events.degraded {
            self.set_degraded(degraded);
        }
        self.tick(now);
    }

    /// Returns true if a scan may send more files.
    pub(super) fn has_room(&self) -> bool {
        let backlog = self.wheel.len() + self.queue.len();
        // The scan that says whether uploads may start is never kept waiting.
        !self.stopping && (self.gave_up || self.scans.undecided || backlog < BACKLOG_MAX)
    }

    /// Ends the work on a file whose change was committed.
    pub(super) fn committed(&mut self, name: &Name, now: ClockReading) {
        self.finish(name, now.instant);
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    pub(super) fn send_request(&mut self, permit: mpsc::Permit<'_, WriteRequest>) {
        if let Some(request) = self.requests.pop_front() {
            permit.send(request);
        }
    }

    pub(super) fn task_ended(&mut self, result: Result<TaskResult, JoinError>, now: ClockReading) {
        match result {
            Ok(TaskResult::Uploaded(uploaded)) => {
                for result in uploaded {
                    self.uploaded(result, now);
                }
            }
            Ok(TaskResult::FilesChecked(checked)) => self.files_checked(checked, now),
            Ok(TaskResult::RootsChecked(roots)) => self.roots_checked(roots),
            Ok(TaskResult::Scanned(scanned)) => self.scanned(scanned, now.instant),
            Err(err) => log_events::task_panicked(&err),
        }
        self.tick(now);
    }

    /// Starts what is due: checks of files, scans, a check of the roots.
    pub(super) fn tick(&mut self, now: ClockReading) {
        if self.stopping {
            return;
        }
        self.start_delayed_checks(now.instant);
        self.check_due_files(now.instant);
        self.scan(now.instant);
        self.check_roots(now.instant);
    }

    /// Starts as many uploads as may run.
    pub(super) fn start_uploads(&mut self, now: Instant) {
        self.queue.release_delayed(now);
        self.queue.send_batches(self.uploader.batches.is_on(now));
        while !self.stopping
            && !self.gave_up
            && !self.waits_for_history()
            && self.queue.recording_count() < RECORDING_MAX
            && self.breaker.allows(now)
        {
            let Some(job) = self.queue.start_next(self.concurrency.limit()) else { return };
            let Some(permit) = self.breaker.try_start(now) else { return };
            // A probe is one file.
            let more = match self.breaker.blocked_until() {
                None => self.queue.start_batch(&job),
                Some(_) => Vec::new(),
            };
            self.start_upload(std::iter::once(job).chain(more).collect(), permit);
        }
    }

    /// Returns when the engine has something to do without a message.
    pub(super) fn next_wake_at(&self, now: Instant) -> Option<Instant> {
        if self.stopping {
            return None;
        }
        let check = self.wheel.next_due().filter(|_| self.may_check_files());
        // Uploads that could start were started by `start_uploads`. The others wait
        // for a running one, whose end is a message.
        let unblocked = self.breaker.blocked_until().filter(|_| self.queue.waiting_count() > 0);
        let [unblocked, delayed] =
            [unblocked, self.queue.next_delayed_at()].map(|at| at.filter(|at| *at > now));
        let daemon = matches!(self.mode, Mode::Daemon { .. });
        let scan =
            self.scans.next_at.iter().min().filter(|_| daemon && !self.scans.running).copied();
        let requested = (!self.scans.running && !self.scans.requested.is_empty())
            .then_some(self.scans.earliest);
        let roots = (daemon && !self.scans.checking_roots).then_some(self.scans.roots_at);
        let recheck = self.delayed_checks.first().map(|(due, _)| *due);
        [check, unblocked, delayed, scan, requested, roots, recheck].into_iter().flatten().min()
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
        // Scans and checks end with their channels; uploads may finish.
        self.parts = None;
    }

    /// Returns true if nothing is left to do in this mode. `found_waiting` is true if a scan
    /// has sent files that were not taken yet.
    pub(super) fn is_done(&self, found_waiting: bool) -> bool {
        let uploading = self.queue.uploading_count() + self.queue.recording_count();
        if uploading > 0 || !self.requests.is_empty() {
            return false;
        }
        let scanning = self.scans.running || !self.scans.requested.is_empty() || found_waiting;
        let idle = !scanning && !self.checking_files;
        let nothing_waits = self.wheel.is_empty() && self.queue.is_empty();
        match self.mode {
            Mode::Daemon { .. } => self.stopping,
            Mode::Once => self.stopping || (idle && (nothing_waits || self.gave_up)),
        }
    }

    /// Returns the report of each watch, if `s3up scan` scanned all of them completely and the files
    /// are still as it found them: none was pending, and none is gone.
    pub(super) fn take_current_reports(&mut self) -> Option<Vec<ScanReport>> {
        let reports = std::mem::take(&mut self.scans.reports);
        let is_current = reports.len() == self.watches.len()
            && self.summary.found == 0
            && reports.values().all(|report| report.gone.is_empty());
        is_current.then(|| reports.into_values().collect())
    }

    /// Ends the tasks that still run and returns the summary.
    pub(super) async fn into_summary(mut self) -> Summary {
        self.tasks.shutdown().await;
        let waiting = self.wheel.len() + self.queue.len();
        self.summary.pending += waiting as u64;
        if matches!(self.mode, Mode::Once) {
            self.summary.check_account(waiting as u64);
        }
        self.summary.gave_up = self.gave_up;
        log_events::stopped(self.summary.pending);
        self.summary
    }

    fn may_check_files(&self) -> bool {
        !self.checking_files && self.requests.len() < REQUESTS_MAX
    }

    /// Adds a file with a problem to the summary of `s3up scan`. The daemon has `status`.
    fn note_failed(&mut self, local_path: String, reason: &str) {
        if matches!(self.mode, Mode::Once) {
            self.summary.problems += 1;
            self.summary.failed.push((local_path, reason.to_owned()));
        }
    }

    /// Starts the uploads that `s3up retry` requests.
    pub(super) fn retry(&mut self, local_paths: Vec<String>, now: Instant) {
        for local_path in local_paths {
            let name = self
                .watches
                .iter()
                .find_map(|watch| watch.path_of(&local_path).map(|path| watch.name(&path)));
            if let Some(name) = name {
                self.file_event(name, Writes::REPLACED, now);
            }
            self.change(Change::RetryTaken { local_path });
        }
    }

    fn file_event(&mut self, name: Name, event: Writes, now: Instant) {
        self.note_activity();
        if let ChangeTarget::NotInFlight(writes) = self.queue.note_change(&name, event) {
            self.wheel.note_event(name, writes, now);
        }
    }

    /// Ends the work on a file. If it changed meanwhile, it has to settle again.
    fn finish(&mut self, name: &Name, now: Instant) {
        let ending = self.endings.remove(name);
        if let Some(writes) = self.queue.finish(name) {
            self.wheel.note_event(name.clone(), writes, now);
        } else if let Some(ending) = ending {
            self.summary.ended(ending);
        }
    }

    /// Notes how the file ends, for the account of `s3up scan`. The daemon has `status`.
    fn record_end(&mut self, name: &Name, ending: Ending) {
        if matches!(self.mode, Mode::Once) {
            self.endings.insert(name.clone(), ending);
        }
    }

    /// Starts the upload of one file, or of the files of a batch.
    fn start_upload(&mut self, jobs: Vec<Job<Name>>, permit: Permit) {
        let tasks = jobs.into_iter().filter_map(|job| Some((self.upload_task(&job)?, job)));
        let (tasks, jobs): (Vec<_>, Vec<_>) = tasks.unzip();
        let (uploader, epoch) = (self.uploader.clone(), self.concurrency.epoch());
        self.tasks.spawn(async move {
            let start = clock::timer_now();
            let upload = async {
                match tasks.as_slice() {
                    [task] => vec![uploader.upload(task).await],
                    tasks => uploader.upload_batch(tasks).await,
                }
            };
            let outcomes = AssertUnwindSafe(upload).catch_unwind().await;
            let outcomes =
                outcomes.unwrap_or_else(|_| jobs.iter().map(|_| Outcome::panicked()).collect());
            let took = clock::timer_now().saturating_duration_since(start);
            let results = jobs.into_iter().zip(outcomes);
            let results =
                results.map(|(job, outcome)| UploadResult { job, permit, epoch, outcome, took });
            TaskResult::Uploaded(results.collect())
        });
    }

    fn upload_task(&self, job: &Job<Name>) -> Option<UploadTask> {
        let watch = self.watch(job.key.watch)?;
        Some(UploadTask {
            policy: self.policy(watch.index),
            root: self.scanned_roots.get(usize::from(watch.index)).copied().flatten(),
            watch,
            path: job.key.path.clone(),
            identity: job.identity,
            writes: job.writes,
            failures: job.failures.count,
            mode: job.mode,
        })
    }

    fn problem(
        &self,
        local_path: String,
        kind: ProblemKind,
        reason: &str,
        identity: Identity,
        now: ClockReading,
    ) -> Change {
        Change::Problem {
            local_path,
            kind,
            reason: reason.to_owned(),
            identity,
            config: self.options.fingerprint.clone(),
            at: now.wall_seconds(),
        }
    }

    fn change(&mut self, change: Change) {
        self.note_activity();
        self.requests.push_back(WriteRequest { change, on_commit: OnCommit::Ignore });
    }

    fn publish(&mut self, fact: AgentFact) {
        let change = Change::AgentFact(fact);
        self.requests.push_back(WriteRequest { change, on_commit: OnCommit::Ignore });
    }

    /// Makes the next heartbeat count the files again.
    fn note_activity(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn policy(&self, index: WatchIndex) -> FilePolicy {
        let state = self.states.get(usize::from(index));
        FilePolicy {
            upload_existing: upload_existing(self.options.upload_existing, state),
            confirm_before_ns: confirm_before_ns(state),
            bytes_max: self.options.file_bytes_max,
            config: self.options.fingerprint.clone(),
            retry_problems: RetryProblems::Now,
        }
    }

    fn watch(&self, index: WatchIndex) -> Option<Arc<Watch>> {
        self.watches.get(usize::from(index)).cloned()
    }

    fn local_path(&self, name: &Name) -> String {
        self.watch(name.watch).map(|watch| watch.local_path(&name.path)).unwrap_or_default()
    }
}
