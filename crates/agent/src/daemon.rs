//! The daemon: inotify, scans, the settle wheel, uploads and the database,
//! wired together.
//!
//! One task, the `Engine`, owns all that is decided: who settles, who
//! is queued, who is on the way. Everything that waits for disk or network runs
//! beside it and comes back as a message; every channel has a limit, and what
//! waits is keyed by path, so memory follows the number of files. A scan is
//! taken only as fast as there is room, events always.
//!
//! `s3up scan` is the same engine in one pass: no watcher, one scan, and an end
//! when nothing waits any more or the gateway stays away.

mod engine;
mod look;
mod round;
mod say;
mod summary;

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use self::engine::{Engine, Mode};
pub use self::summary::Summary;
use crate::agent::Agent;
use crate::inotify::{self, News};
use crate::record;

/// How long uploads under way may take to end after a stop.
const GRACE: Duration = Duration::from_secs(4);
/// How long the last batch may take to be committed.
const RECORD_GRACE: Duration = Duration::from_secs(3);
/// Without a deadline of its own the loop looks around this often.
const IDLE: Duration = Duration::from_secs(60);
/// Batches of findings that a scan may be ahead.
const FINDINGS_AHEAD: usize = 2;

/// Runs until `stop`; what was under way is finished, or sent again next time.
pub async fn run(agent: Agent, stop: impl Future) -> Summary {
    let watches = agent.watches.clone();
    let watcher = match inotify::start(watches) {
        Ok((handle, news)) => Some((handle, news)),
        Err(err) => {
            say::no_watcher(&err);
            None
        }
    };
    let (handle, news) = watcher.unzip();
    drive(agent, Mode::Daemon { watcher: handle }, news, stop).await
}

/// One pass: scans, waits for what settles, uploads all that is pending.
pub async fn scan_once(agent: Agent, stop: impl Future) -> Summary {
    drive(agent, Mode::Once, None, stop).await
}

async fn drive(
    agent: Agent,
    mode: Mode,
    mut news: Option<mpsc::Receiver<News>>,
    stop: impl Future,
) -> Summary {
    let Agent { config, watches, existing, database, gateway, lock } = agent;
    let mut recorder = record::start(database.writer);
    let (findings, mut found) = mpsc::channel(FINDINGS_AHEAD);
    let parts = engine::Parts {
        watches,
        existing,
        gateway,
        reader: database.reader,
        entries: recorder.entries.clone(),
        findings,
    };
    let mut engine = Engine::new(config, mode, parts);
    let mut stop = std::pin::pin!(stop);
    let mut deadline = None;
    engine.begin();
    while !engine.is_done(!found.is_empty()) {
        let now = Instant::now();
        engine.dispatch(now);
        let wake = engine.wake_at(now).unwrap_or(now + IDLE);
        let wake = deadline.map_or(wake, |deadline| wake.min(deadline));
        tokio::select! {
            _ = &mut stop, if deadline.is_none() => {
                engine.stop();
                deadline = Some(Instant::now() + GRACE);
            }
            told = next(&mut news) => match told {
                Some(told) => engine.news(told),
                None => news = None,
            },
            Some(found) = found.recv(), if engine.has_room() => engine.found(found),
            Some(name) = recorder.recorded.recv() => engine.recorded(&name),
            Some(done) = engine.tasks.join_next() => engine.done(done),
            permit = recorder.entries.reserve(), if engine.has_entries() => {
                if let Ok(permit) = permit {
                    engine.give_entry(permit);
                }
            }
            () = tokio::time::sleep_until(wake.into()) => engine.tick(Instant::now()),
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            break;
        }
    }
    let summary = engine.end();
    drop((recorder.entries, found));
    if tokio::time::timeout(RECORD_GRACE, recorder.task).await.is_err() {
        say::not_recorded();
    }
    drop(lock);
    summary
}

/// News, or nothing for ever where there is no watcher.
async fn next(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}
