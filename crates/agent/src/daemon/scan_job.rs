//! Scans some watches: watches their directories, walks and compares them, and sends
//! on what it finds.
//!
//! Pending files go to the engine, as fast as it takes them. Baseline rows and
//! deletions go to the database. A watch counts as scanned once all of that is
//! committed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::database::{Change, Reader};
use crate::files::identity::Identity;
use crate::files::watch::{Name, Watch, WatchIndex};
use crate::scanning::scan::{Report, Scan, ScanError};
use crate::states::decide::{FilePolicy, State};
use crate::watching::{Degraded, WatcherHandle};
use s3up_core::error_chain;

/// A batch of pending files that a scan found.
pub(super) type FoundFiles = Vec<(Name, Identity)>;

#[derive(Clone, Debug)]
pub(super) struct ScanJob {
    /// The watches to scan, each with its current policy.
    pub(super) watches: Vec<(Arc<Watch>, FilePolicy)>,
    pub(super) watcher: Option<WatcherHandle>,
    pub(super) reader: Reader,
    pub(super) requests: mpsc::Sender<WriteRequest>,
    pub(super) found: mpsc::Sender<FoundFiles>,
}

#[derive(Debug)]
pub(super) struct ScanResult {
    pub(super) watch: WatchIndex,
    pub(super) report: Report,
    /// False if the scan failed, so that nothing follows from its report.
    pub(super) complete: bool,
    pub(super) degraded: Option<Degraded>,
    pub(super) took: Duration,
}

impl ScanJob {
    /// Scans one watch after the other, because they share the disk.
    pub(super) async fn run(self) -> Vec<ScanResult> {
        let mut results = Vec::new();
        for (watch, policy) in &self.watches {
            results.push(self.scan(watch, policy).await);
        }
        results
    }

    async fn scan(&self, watch: &Arc<Watch>, policy: &FilePolicy) -> ScanResult {
        let start = clock::timer_now();
        let degraded = match &self.watcher {
            Some(watcher) => watcher.add_watches(watch.index).await,
            None => None,
        };
        let (report, complete) = match self.compare(watch, policy.clone()).await {
            Ok(report) => {
                let complete = report.error.is_none();
                (report, complete)
            }
            Err(err) => (Report { error: Some(error_chain(&err)), ..Report::default() }, false),
        };
        if complete {
            self.complete(watch, &report).await;
        }
        let took = clock::timer_now().saturating_duration_since(start);
        ScanResult { watch: watch.index, report, complete, degraded, took }
    }

    async fn compare(&self, watch: &Arc<Watch>, policy: FilePolicy) -> Result<Report, ScanError> {
        let mut scan = Scan::start(watch.clone(), self.reader.clone(), policy);
        while let Some(files) = scan.next().await? {
            let mut pending = Vec::new();
            for file in files {
                match file.state {
                    State::Pending(_) => pending.push((watch.name(&file.path), file.identity)),
                    State::Baseline { recorded: false } => {
                        self.baseline(watch, &file.path, file.identity).await;
                    }
                    State::Baseline { recorded: true } | State::Protected | State::Problem(_) => {}
                }
            }
            if !pending.is_empty() && self.found.send(pending).await.is_err() {
                return Err(ScanError::stopped(watch));
            }
        }
        scan.finish().await
    }

    async fn baseline(&self, watch: &Watch, path: &Path, identity: Identity) {
        let local_path = watch.local_path(path);
        self.record(Change::Baseline { local_path, identity }, OnCommit::Ignore).await;
    }

    /// Forgets files that are gone, records the scan and waits for the commit.
    async fn complete(&self, watch: &Watch, report: &Report) {
        for local_path in &report.gone {
            let change = Change::Forget { local_path: local_path.clone() };
            self.record(change, OnCommit::Ignore).await;
        }
        let (reply, committed) = oneshot::channel();
        let (root, at) = (watch.local_prefix(), clock::wall_seconds());
        let change = Change::WatchScanned { root, at, filesystem: report.filesystem.clone() };
        self.record(change, OnCommit::Reply(reply)).await;
        // Fails if the agent stops.
        committed.await.ok();
    }

    async fn record(&self, change: Change, on_commit: OnCommit) {
        // Fails only if the agent stops.
        self.requests.send(WriteRequest { change, on_commit }).await.ok();
    }
}
