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
mod log_events;
mod random;
mod scan_job;
mod stat_files;
mod summary;

use std::time::Duration;

use tokio::sync::mpsc;

use self::engine::{Engine, EngineOptions, Mode, Parts};
use self::scan_job::FoundFiles;
pub use self::summary::Summary;
use crate::agent::Agent;
use crate::clock;
use crate::config::Config;
use crate::database::recorder::{self, Recorder};
use crate::watching::{self, WatchEvents};

/// Time that running uploads get to end after a stop.
const STOP_GRACE: Duration = Duration::from_secs(4);
/// Time that the last batch gets to be committed.
const RECORD_GRACE: Duration = Duration::from_secs(3);
/// Longest sleep of the loop, if the engine has no deadline.
const IDLE: Duration = Duration::from_secs(60);
/// Maximum number of batches that a scan is ahead of the engine.
const BATCHES_AHEAD: usize = 2;

/// Runs until `stop`. Uploads that do not end in time are sent again next time.
pub async fn run(agent: Agent, stop: impl Future) -> Summary {
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
pub async fn scan_once(agent: Agent, stop: impl Future) -> Summary {
    drive(agent, Mode::Once, None, stop).await
}

/// Builds the engine, runs it to its end, and waits for the last batch.
async fn drive(
    agent: Agent,
    mode: Mode,
    events: Option<mpsc::Receiver<WatchEvents>>,
    stop: impl Future,
) -> Summary {
    let Agent { config, watches, existing, database, gateway, lock } = agent;
    let mut recorder = recorder::start(database.writer);
    let (sender, mut found) = mpsc::channel(BATCHES_AHEAD);
    let parts = Parts {
        watches,
        existing,
        gateway,
        reader: database.reader,
        requests: recorder.requests.clone(),
        found: sender,
    };
    let mut engine = Engine::new(EngineOptions::of(&config), mode, parts, clock::now());
    let (server, watches) = (config.server.url.as_str(), config.watches.len());
    log_events::started(server, watches, &config.database, config.upload_existing);
    engine.begin(clock::now());
    run_until_done(&mut engine, events, &mut found, &mut recorder, stop).await;
    let summary = engine.end();
    drop((recorder.requests, found));
    if tokio::time::timeout(RECORD_GRACE, recorder.task).await.is_err() {
        log_events::uploads_not_recorded();
    }
    drop(lock);
    summary
}

/// Passes each message to the engine until it has nothing to do, or until the time after `stop`
/// is over.
async fn run_until_done(
    engine: &mut Engine,
    mut events: Option<mpsc::Receiver<WatchEvents>>,
    found: &mut mpsc::Receiver<FoundFiles>,
    recorder: &mut Recorder,
    stop: impl Future,
) {
    let mut stop = std::pin::pin!(stop);
    let mut deadline = None;
    while !engine.is_done(!found.is_empty()) {
        let now = clock::now().instant;
        engine.start_uploads(now);
        let wake = engine.next_wake_at(now).unwrap_or(now + IDLE);
        let wake = deadline.map_or(wake, |deadline| wake.min(deadline));
        tokio::select! {
            _ = &mut stop, if deadline.is_none() => {
                engine.stop();
                deadline = Some(clock::now().instant + STOP_GRACE);
            }
            received = next(&mut events) => match received {
                Some(received) => engine.watch_events(received, clock::now()),
                None => events = None,
            },
            Some(files) = found.recv(), if engine.has_room() => {
                engine.files_found(files, clock::now());
            }
            Some(name) = recorder.committed.recv() => engine.committed(&name, clock::now()),
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
}

impl EngineOptions {
    fn of(config: &Config) -> EngineOptions {
        EngineOptions {
            settle: config.settle,
            lanes: config.lanes,
            retry: config.retry,
            scan_every: config.scan_every,
            file_bytes_max: config.file_bytes_max,
            fingerprint: config.fingerprint.clone(),
        }
    }
}

/// Returns the next events. Never returns if there is no watcher.
async fn next(events: &mut Option<mpsc::Receiver<WatchEvents>>) -> Option<WatchEvents> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
