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
pub(crate) mod log_origin;
mod origin_query;
mod random;
mod scan_job;
mod stat_files;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use s3up_core::wire::AgentFacts;
use tokio::sync::{mpsc, watch};

use self::engine::{Engine, EngineOptions, Mode, Parts};
pub use self::summary::Summary;
use crate::agent::Agent;
use crate::clock;
use crate::config::Config;
use crate::database::{recorder, retry_requests};
use crate::reporting::messages;
use crate::reporting::task::{CallResult, Reporter};
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
const IDLE: Duration = Duration::from_secs(60);
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

async fn drive<S>(
    agent: Agent,
    mode: Mode,
    mut events: Option<mpsc::Receiver<WatchEvents>>,
    stop: impl Future<Output = S>,
) -> RunEnd<S> {
    let Agent { config, watches, states, database, gateway, lock } = agent;
    let mut recorder = recorder::start(database.writer);
    let reader = database.reader.clone();
    let (sender, mut pending_files) = mpsc::channel(BATCHES_AHEAD);
    let parts = Parts {
        watches,
        states: states.clone(),
        gateway,
        reader: database.reader,
        requests: recorder.requests.clone(),
        pending_files: sender,
        changes: Arc::default(),
        scanned: watch::Sender::new(false),
    };
    let options = EngineOptions {
        settle: config.settle,
        lanes: config.lanes,
        retry: config.retry,
        scan_every: config.scan_every,
        upload_existing: config.upload_existing,
        file_bytes_max: config.file_bytes_max,
        spool: config.spool.clone(),
        fingerprint: config.fingerprint.clone(),
    };
    let (calls, mut called) = mpsc::channel(1);
    let reporter = reporter(&config, &states, &parts, calls);
    let (reporting, report_at_end) = match mode {
        Mode::Daemon { .. } => (Some(tokio::spawn(reporter.run())), None),
        Mode::Once => (None, Some(reporter)),
    };
    let mut engine = Engine::new(options, mode, parts, clock::now());
    let (sender, mut retries) = mpsc::channel(1);
    let polling = tokio::spawn(retry_requests::poll(reader.clone(), sender));
    let mut stop = std::pin::pin!(stop);
    // Polled by this loop only, so that a loop that hangs is noticed.
    let mut watchdog = std::pin::pin!(s3up_cli::feed_watchdog());
    let mut watched = true;
    let presence = database.presence;
    let mut lost = std::pin::pin!(presence.until_lost());
    let mut deadline = None;
    let mut cause = Cause::Done;
    let (server, watches) = (config.server.url.as_str(), config.watches.len());
    log_events::started(server, watches, &config.database, config.upload_existing);
    engine.begin(clock::now());
    while !engine.is_done(!pending_files.is_empty()) {
        let now = clock::now().instant;
        engine.start_uploads(now);
        let wake = engine.next_wake_at(now).unwrap_or(now + IDLE);
        let wake = deadline.map_or(wake, |deadline| wake.min(deadline));
        tokio::select! {
            stopped = &mut stop, if deadline.is_none() => {
                cause = Cause::Stopped(stopped);
                engine.stop();
                deadline = Some(clock::now().instant + STOP_GRACE);
            }
            () = &mut lost, if deadline.is_none() => {
                log_events::database_removed(&config.database);
                cause = Cause::DatabaseLost;
                engine.stop();
                deadline = Some(clock::now().instant + STOP_GRACE);
            }
            () = &mut watchdog, if watched => watched = false,
            received = next(&mut events) => match received {
                Some(received) => engine.watch_events(received, clock::now()),
                None => events = None,
            },
            Some(files) = pending_files.recv(), if engine.has_room() => {
                engine.pending_files_found(files, clock::now());
            }
            Some(name) = recorder.committed.recv() => engine.committed(&name, clock::now()),
            Some(result) = called.recv() => engine.heartbeat_sent(&result, clock::now()),
            Some(paths) = retries.recv(), if deadline.is_none() => {
                engine.retry(paths, clock::now().instant);
            }
            Some(result) = engine.tasks.join_next() => engine.task_ended(result, clock::now()),
            permit = recorder.requests.reserve(), if engine.has_requests() => {
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
    let is_done = matches!(cause, Cause::Done);
    let summary = engine.end().await;
    polling.abort();
    if let Some(reporting) = reporting {
        reporting.abort();
        // An error, unless it ended by itself; it must not use the database any more.
        reporting.await.ok();
    }
    if let Some(reporter) = report_at_end.filter(|_| is_done && !summary.gave_up) {
        // Without an answer in time the next scan reports.
        tokio::time::timeout(REPORT_GRACE, reporter.run_once()).await.ok();
    }
    drop((recorder.requests, pending_files));
    let closed = async {
        reader.close().await;
        recorder.task.await
    };
    if tokio::time::timeout(RECORD_GRACE, closed).await.is_err() {
        log_events::uploads_not_recorded();
        cause = cause.without_clean_end();
    }
    drop(lock);
    RunEnd { summary, cause }
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
        scanned: parts.scanned.subscribe(),
        report_time: config.report_time,
        agent: AgentFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started_at: messages::time(clock::wall_seconds()),
        },
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
