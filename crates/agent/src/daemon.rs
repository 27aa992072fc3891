//! The daemon: connects watcher, scans, settle wheel, uploads and database.
//!
//! One task, the `Engine`, makes all decisions. Everything that waits for disk
//! or network runs beside it and answers with a message. Every channel has a
//! limit and everything that waits is keyed by path, so memory grows with the
//! number of files. Events are always accepted; a scan waits until there is room.
//!
//! `s3up scan` is the same engine in one pass: no watcher, one scan, and an end
//! once nothing waits any more or the gateway stays unreachable.

mod engine;
pub(crate) mod log_events;
pub(crate) mod log_watch_history;
mod scan_job;
mod stat_files;
mod summary;
mod watch_history_query;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use s3up_core::wire::AgentFacts;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::engine::{Engine, EngineOptions, Mode, Parts};
use self::scan_job::PendingFiles;
pub use self::summary::Summary;
use crate::agent::Agent;
use crate::cleanup::run::Cleanup;
use crate::cleanup::task::CleanupTask;
use crate::clock;
use crate::config::Config;
use crate::database::recorder::{self, Recorder};
use crate::database::{Reader, retry_requests};
use crate::reporting::messages;
use crate::reporting::task::{CallResult, Reporter};
use crate::scanning::scan::ScanReport;
use crate::states::existing_files::WatchState;
use crate::status::StatusReader;
use crate::watching::{self, WatchEvents};

/// Time that running uploads get to end after a stop.
const STOP_GRACE: Duration = Duration::from_secs(4);
/// Time that the heartbeat of `s3up scan` gets: the tree is counted for it.
const REPORT_GRACE: Duration = Duration::from_secs(60);
/// Time that the last batch gets to be committed.
const RECORD_GRACE: Duration = Duration::from_secs(3);
/// Longest sleep of the loop, if the engine has no deadline.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Maximum number of batches that a scan is ahead of the engine.
const BATCHES_AHEAD: usize = 2;

/// The end of an agent that ran.
#[derive(Debug)]
pub struct RunEnd<S> {
    pub summary: Summary,
    pub cause: Cause<S>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<S> {
    /// `s3up scan` has nothing left to do.
    Done,
    /// The future that stops the agent returned this.
    Stopped(S),
    /// The database was removed or replaced. A new start notices that it was lost.
    DatabaseLost,
    /// The same, but the old database could not be closed, so this process must not open a new one.
    DatabaseStillOpen,
}

impl<S> Cause<S> {
    fn without_clean_end(self) -> Cause<S> {
        match self {
            Cause::DatabaseLost => Cause::DatabaseStillOpen,
            Cause::Done | Cause::Stopped(_) | Cause::DatabaseStillOpen => self,
        }
    }
}

/// Runs until `stop`. Uploads that do not end in time are sent again next time.
pub async fn run<S>(agent: Agent, stop: impl Future<Output = S>) -> RunEnd<S> {
    let watcher = match watching::start(agent.watches.clone()) {
        Ok(watcher) => Some(watcher),
        Err(err) => {
            log_events::watcher_not_started(&err);
            None
        }
    };
    let (handle, events) = watcher.unzip();
    drive(agent, Mode::Daemon { watcher: handle }, events, stop).await
}

/// Scans once, waits until the files settle, and uploads all pending ones.
pub async fn scan_once<S>(agent: Agent, stop: impl Future<Output = S>) -> RunEnd<S> {
    drive(agent, Mode::Once, None, stop).await
}

/// The messages that the loop waits for.
struct Inputs {
    /// `None` if there is no watcher.
    events: Option<mpsc::Receiver<WatchEvents>>,
    pending_files: mpsc::Receiver<PendingFiles>,
    calls: mpsc::Receiver<CallResult>,
    retries: mpsc::Receiver<Vec<String>>,
    recorder: Recorder,
}

/// The reporter: a task of the daemon, or one that `s3up scan` runs at its end.
enum Reporting {
    Task(JoinHandle<()>),
    AtEnd(Box<Reporter>),
}

async fn drive<S>(
    agent: Agent,
    mode: Mode,
    events: Option<mpsc::Receiver<WatchEvents>>,
    stop: impl Future<Output = S>,
) -> RunEnd<S> {
    let Agent { config, watches, states, database, gateway, lock } = agent;
    let recorder = recorder::start(database.writer);
    let reader = database.reader.clone();
    let (sender, pending_files) = mpsc::channel(BATCHES_AHEAD);
    let parts = Parts {
        watches,
        states: states.clone(),
        gateway,
        reader: database.reader,
        requests: recorder.requests.clone(),
        pending_files: sender,
        changes: Arc::default(),
        watch_turned: watch::Sender::new(()),
        scanned: watch::Sender::new(false),
    };
    let (sender, calls) = mpsc::channel(1);
    let reporter = reporter(&config, &states, &parts, sender);
    let cleaning = match mode {
        Mode::Daemon { .. } => Some(tokio::spawn(cleanup(&config, &parts).run())),
        Mode::Once => None,
    };
    let reporting = match mode {
        Mode::Daemon { .. } => Reporting::Task(tokio::spawn(reporter.run())),
        Mode::Once => Reporting::AtEnd(Box::new(reporter)),
    };
    let (sender, retries) = mpsc::channel(1);
    let polling = tokio::spawn(retry_requests::poll(reader.clone(), sender));
    let mut inputs = Inputs { events, pending_files, calls, retries, recorder };
    let mut engine = Engine::new(engine_options(&config), mode, parts, clock::now());
    let (server, watches) = (config.server.url.as_str(), config.watches.len());
    log_events::started(server, watches, &config.database, config.upload_existing);
    let ending = async {
        tokio::select! {
            stopped = stop => Cause::Stopped(stopped),
            () = database.file.until_removed() => {
                log_events::database_removed(&config.database);
                Cause::DatabaseLost
            }
        }
    };
    let mut cause = work(&mut engine, &mut inputs, ending).await;
    let reports = engine.take_current_reports();
    let summary = engine.into_summary().await;
    polling.abort();
    if let Some(task) = cleaning {
        task.abort();
        // An error, unless it ended by itself.
        task.await.ok();
    }
    report_at_end(reporting, matches!(cause, Cause::Done) && !summary.gave_up, reports).await;
    if !close(inputs, reader).await {
        log_events::uploads_not_recorded();
        cause = cause.without_clean_end();
    }
    drop(lock);
    RunEnd { summary, cause }
}

/// Passes each message to the engine, until it is done or some seconds after `ending`.
async fn work<S>(
    engine: &mut Engine,
    inputs: &mut Inputs,
    ending: impl Future<Output = Cause<S>>,
) -> Cause<S> {
    let mut ending = std::pin::pin!(ending);
    // Polled by this loop only, so that a loop that hangs is noticed.
    let mut watchdog = std::pin::pin!(s3up_cli::feed_watchdog());
    let mut has_watchdog = true;
    let mut deadline = None;
    let mut cause = Cause::Done;
    engine.begin(clock::now());
    while !engine.is_done(!inputs.pending_files.is_empty()) {
        let now = clock::now().instant;
        engine.start_uploads(now);
        let wake = engine.next_wake_at(now).unwrap_or(now + SLEEP_MAX);
        let wake = deadline.map_or(wake, |deadline| wake.min(deadline));
        tokio::select! {
            ended = &mut ending, if deadline.is_none() => {
                cause = ended;
                engine.stop();
                deadline = Some(clock::now().instant + STOP_GRACE);
            }
            () = &mut watchdog, if has_watchdog => has_watchdog = false,
            received = next(&mut inputs.events) => match received {
                Some(received) => engine.watch_events(received, clock::now()),
                None => inputs.events = None,
            },
            Some(files) = inputs.pending_files.recv(), if engine.has_room() => {
                engine.pending_files_found(files, clock::now());
            }
            Some(name) = inputs.recorder.committed.recv() => engine.committed(&name, clock::now()),
            Some(result) = inputs.calls.recv() => engine.heartbeat_sent(&result, clock::now()),
            Some(paths) = inputs.retries.recv(), if deadline.is_none() => {
                engine.retry(paths, clock::now().instant);
            }
            Some(result) = engine.tasks.join_next() => engine.task_ended(result, clock::now()),
            permit = inputs.recorder.requests.reserve(), if engine.has_requests() => {
                if let Ok(permit) = permit {
                    engine.send_request(permit);
                }
            }
            () = tokio::time::sleep_until(wake.into()) => engine.tick(clock::now()),
        }
        if deadline.is_some_and(|deadline| deadline <= clock::now().instant) {
            break;
        }
    }
    cause
}

/// Ends the reporter, which must not use the database any more. That of a complete `s3up scan` sends
/// a heartbeat first. It counts the files again unless the scans have left them as `reports` say.
async fn report_at_end(reporting: Reporting, is_complete: bool, reports: Option<Vec<ScanReport>>) {
    match reporting {
        Reporting::Task(task) => {
            task.abort();
            // An error, unless it ended by itself.
            task.await.ok();
        }
        Reporting::AtEnd(reporter) if is_complete => {
            // Without an answer in time the next scan reports.
            tokio::time::timeout(REPORT_GRACE, reporter.run_once(reports)).await.ok();
        }
        Reporting::AtEnd(_) => {}
    }
}

/// Commits the last changes and closes the database. Returns false if that took too long.
async fn close(inputs: Inputs, reader: Reader) -> bool {
    let Inputs { recorder: Recorder { requests, task, .. }, pending_files, .. } = inputs;
    drop((requests, pending_files));
    let closed = async {
        reader.close().await;
        task.await
    };
    tokio::time::timeout(RECORD_GRACE, closed).await.is_ok()
}

fn engine_options(config: &Config) -> EngineOptions {
    EngineOptions {
        settle: config.settle,
        lanes: config.lanes,
        retry: config.retry,
        scans: config.scans,
        upload_existing: config.upload_existing,
        file_bytes_max: config.file_bytes_max,
        spool: config.spool.clone(),
        fingerprint: config.fingerprint.clone(),
    }
}

fn cleanup(config: &Config, parts: &Parts) -> CleanupTask {
    let cleanup = Cleanup {
        watches: parts.watches.clone(),
        policy: config.cleanup.clone(),
        gateway: parts.gateway.clone(),
        reader: parts.reader.clone(),
        requests: Some(parts.requests.clone()),
    };
    CleanupTask { cleanup, database: config.database.clone() }
}

fn reporter(
    config: &Config,
    states: &[WatchState],
    parts: &Parts,
    calls: mpsc::Sender<CallResult>,
) -> Reporter {
    let since_ns = states.iter().map(|state| state.known_since_ns).min();
    let seconds = since_ns.unwrap_or_default().div_euclid(1_000_000_000);
    Reporter {
        status: StatusReader { config: Arc::new(config.clone()), reader: parts.reader.clone() },
        gateway: parts.gateway.clone(),
        requests: parts.requests.clone(),
        calls,
        changes: parts.changes.clone(),
        watch_turned: parts.watch_turned.subscribe(),
        scanned: parts.scanned.subscribe(),
        report_time: config.report_time,
        agent: AgentFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started_at: messages::time(clock::wall_seconds()),
        },
        started: clock::timer_now(),
        agent_since: Timestamp::from_second(seconds).unwrap_or_default(),
    }
}

/// Returns the next events. Never returns if there is no watcher.
async fn next(events: &mut Option<mpsc::Receiver<WatchEvents>>) -> Option<WatchEvents> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
