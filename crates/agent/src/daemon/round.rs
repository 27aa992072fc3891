//! One round of scans: arm the watcher, walk, compare, and tell what is found.
//!
//! What is pending goes to the engine, as fast as that takes it; baseline rows
//! and deletions go to the database. A watch counts as scanned only when all
//! of that is committed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::client::one_line;
use crate::clock;
use crate::db::{Change, Reader};
use crate::decide::{Policy, State};
use crate::identity::Identity;
use crate::inotify::{Degraded, Handle};
use crate::record::{Ack, Entry};
use crate::scan::{Report, Scan, ScanError};
use crate::watch::{Name, Watch, WatchIndex};

/// Pending files, as a scan finds them.
pub(super) type Finding = Vec<(Name, Identity)>;

/// What a round works with.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// With the policy that is in force for each.
    pub(super) watches: Vec<(Arc<Watch>, Policy)>,
    pub(super) watcher: Option<Handle>,
    pub(super) reader: Reader,
    pub(super) entries: mpsc::Sender<Entry>,
    pub(super) findings: mpsc::Sender<Finding>,
}

#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) watch: WatchIndex,
    pub(super) report: Report,
    /// False where nothing may be concluded from it.
    pub(super) complete: bool,
    pub(super) degraded: Option<Degraded>,
    pub(super) took: Duration,
}

impl Round {
    /// One after the other: they share the disk.
    pub(super) async fn run(self) -> Vec<Scanned> {
        let mut scanned = Vec::new();
        for (watch, policy) in &self.watches {
            scanned.push(self.scan(watch, policy).await);
        }
        scanned
    }

    async fn scan(&self, watch: &Arc<Watch>, policy: &Policy) -> Scanned {
        let start = Instant::now();
        let degraded = match &self.watcher {
            Some(watcher) => watcher.arm(watch.index).await,
            None => None,
        };
        let (report, complete) = match self.compare(watch, policy.clone()).await {
            Ok(report) => {
                let complete = report.trouble.is_none();
                (report, complete)
            }
            Err(err) => (Report { trouble: Some(one_line(&err)), ..Report::default() }, false),
        };
        if complete {
            self.complete(watch, &report).await;
        }
        Scanned { watch: watch.index, report, complete, degraded, took: start.elapsed() }
    }

    async fn compare(&self, watch: &Arc<Watch>, policy: Policy) -> Result<Report, ScanError> {
        let mut scan = Scan::start(watch.clone(), self.reader.clone(), policy);
        while let Some(seen) = scan.next().await? {
            let mut pending = Vec::new();
            for file in seen {
                match file.state {
                    State::Pending(_) => pending.push((watch.name(&file.path), file.identity)),
                    State::Baseline { recorded: false } => {
                        self.baseline(watch, &file.path, file.identity).await;
                    }
                    State::Baseline { recorded: true } | State::Protected | State::Problem(_) => {}
                }
            }
            if !pending.is_empty() && self.findings.send(pending).await.is_err() {
                return Err(watch.stopped());
            }
        }
        scan.finish().await
    }

    async fn baseline(&self, watch: &Watch, path: &Path, identity: Identity) {
        let local_path = watch.local_path(path);
        self.record(Change::Baseline { local_path, identity }, Ack::Nobody).await;
    }

    /// Forgets what is gone and notes the scan; returns when that is committed.
    async fn complete(&self, watch: &Watch, report: &Report) {
        for local_path in &report.gone {
            let change = Change::Forget { local_path: local_path.clone() };
            self.record(change, Ack::Nobody).await;
        }
        let (reply, committed) = oneshot::channel();
        let change = Change::WatchScanned { root: watch.local_prefix(), at: clock::wall_seconds() };
        self.record(change, Ack::Reply(reply)).await;
        // Without an answer the agent is stopping.
        committed.await.ok();
    }

    async fn record(&self, change: Change, ack: Ack) {
        // Fails only while the agent is stopping.
        self.entries.send(Entry { change, ack }).await.ok();
    }
}
