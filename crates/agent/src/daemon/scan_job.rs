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
use crate::daemon::log_watch_history::watch_history_decided;
use crate::daemon::watch_history_query::{QueryError, WatchHistoryQuery};
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::database::{Change, Reader};
use crate::files::confined_fs::{Root, RootId};
use crate::files::identity::Identity;
use crate::files::watch::{Name, Watch, WatchIndex};
use crate::gateway::client::GatewayClient;
use crate::scanning::scan::{Scan, ScanError, ScanReport};
use crate::scanning::walk::RootError;
use crate::states::decide::{FilePolicy, State, UploadExisting};
use crate::states::existing_files::{
    WatchState, confirm_before_ns, has_no_history, upload_existing,
};
use crate::states::watch_history::{LossEvidence, WatchHistory, decide_watch_history};
use crate::watching::{WatchGaps, WatcherHandle};
use s3up_core::error_chain;

/// A batch of pending files that a scan found.
#[derive(Debug)]
pub(super) struct PendingFiles {
    pub(super) watch: WatchIndex,
    /// The root of the watch when the scan started; `None` if it is not open yet.
    pub(super) root: Option<RootId>,
    /// Decided by this scan.
    pub(super) history: Option<WatchHistory>,
    pub(super) files: Vec<(Name, Identity)>,
}

#[derive(Clone, Debug)]
pub(super) struct WatchToScan {
    pub(super) watch: Arc<Watch>,
    pub(super) policy: FilePolicy,
    pub(super) state: WatchState,
}

#[derive(Clone, Debug)]
pub(super) struct ScanJob {
    pub(super) watches: Vec<WatchToScan>,
    /// `scan.upload_existing`.
    pub(super) upload_existing: bool,
    /// Number of tries so far to find out whether a database was lost.
    pub(super) history_tries: u32,
    pub(super) watcher: Option<WatcherHandle>,
    pub(super) gateway: GatewayClient,
    pub(super) reader: Reader,
    pub(super) requests: mpsc::Sender<WriteRequest>,
    pub(super) pending_files: mpsc::Sender<PendingFiles>,
}

#[derive(Debug)]
pub(super) struct ScanResult {
    pub(super) watch: WatchIndex,
    pub(super) report: ScanReport,
    /// False if the scan failed, so that nothing follows from its report.
    pub(super) complete: bool,
    pub(super) degraded: Option<WatchGaps>,
    pub(super) took: Duration,
}

impl ScanJob {
    /// Scans one watch after the other, because they share the disk. Whether a database was lost is
    /// decided first, because uploads of all watches wait for it.
    pub(super) async fn run(mut self) -> Vec<ScanResult> {
        let mut watches = Vec::new();
        for mut to_scan in std::mem::take(&mut self.watches) {
            let undecided = self.decide_watch_history(&mut to_scan).await.err();
            watches.push((to_scan, undecided));
        }
        let mut results = Vec::new();
        for (to_scan, undecided) in watches {
            results.push(self.scan(to_scan, undecided).await);
        }
        results
    }

    async fn scan(&self, to_scan: WatchToScan, undecided: Option<QueryError>) -> ScanResult {
        let start = clock::timer_now();
        let WatchToScan { watch, policy, .. } = to_scan;
        let degraded = match &self.watcher {
            Some(watcher) => watcher.add_watches(watch.index).await,
            None => None,
        };
        let scanned = match undecided {
            Some(err) => Err(error_chain(&err)),
            None => self.compare(&watch, policy).await.map_err(|err| error_chain(&err)),
        };
        let report = scanned
            .unwrap_or_else(|error| ScanReport { error: Some(error), ..ScanReport::default() });
        let complete = report.error.is_none();
        if complete {
            self.complete(&watch, &report).await;
        }
        let took = clock::timer_now().saturating_duration_since(start);
        ScanResult { watch: watch.index, report, complete, degraded, took }
    }

    /// Decides whether the database of the watch was lost, unless that is known. Fails if existing
    /// files could be baseline and the gateway does not answer.
    async fn decide_watch_history(&self, to_scan: &mut WatchToScan) -> Result<(), QueryError> {
        let WatchToScan { watch, policy, state } = to_scan;
        if !has_no_history(state) {
            return Ok(());
        }
        let query = WatchHistoryQuery {
            watch,
            policy: policy.clone(),
            reader: &self.reader,
            gateway: &self.gateway,
            tries: self.history_tries,
        };
        let evidence = match query.ask().await {
            Ok(stored) => LossEvidence::Stored(stored),
            Err(QueryError::Gateway(_)) if policy.upload_existing == UploadExisting::Yes => {
                return Ok(());
            }
            Err(err) => return Err(err),
        };
        let history = decide_watch_history(&evidence);
        watch_history_decided(watch, &evidence);
        let change = Change::WatchHistory { root: watch.local_prefix(), history };
        self.record(change, OnCommit::Ignore).await;
        state.history = Some(history);
        policy.upload_existing = upload_existing(self.upload_existing, Some(state));
        policy.confirm_before_ns = confirm_before_ns(Some(state));
        // Uploads wait for it, and a scan waits for uploads once many files are found.
        let (watch, history) = (watch.index, Some(history));
        let found = PendingFiles { watch, root: None, history, files: Vec::new() };
        // Fails if the agent stops.
        self.pending_files.send(found).await.ok();
        Ok(())
    }

    async fn compare(
        &self,
        watch: &Arc<Watch>,
        policy: FilePolicy,
    ) -> Result<ScanReport, ScanError> {
        let root = root_id(watch.clone()).await?;
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
            let (root, history) = (Some(root), None);
            let found = PendingFiles { watch: watch.index, root, history, files: pending };
            if !found.files.is_empty() && self.pending_files.send(found).await.is_err() {
                return Err(ScanError::interrupted(watch));
            }
        }
        scan.finish().await
    }

    async fn baseline(&self, watch: &Watch, path: &Path, identity: Identity) {
        let local_path = watch.local_path(path);
        self.record(Change::Baseline { local_path, identity }, OnCommit::Ignore).await;
    }

    /// Forgets files that are gone, records the scan and waits for the commit.
    async fn complete(&self, watch: &Watch, report: &ScanReport) {
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

async fn root_id(watch: Arc<Watch>) -> Result<RootId, ScanError> {
    let opened = watch.clone();
    let open = move || {
        let failed = |source| RootError { root: opened.root.clone(), source };
        Root::open(&opened.root).map(|root| root.id()).map_err(failed)
    };
    let opened = tokio::task::spawn_blocking(open).await;
    Ok(opened.map_err(|_| ScanError::interrupted(&watch))??)
}
