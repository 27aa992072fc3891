//! The status of all files on the host, for `s3up status` and for reports.
//!
//! It is the result of a scan, which only reads the database and may run beside
//! an agent. It decides states by the same function as the agent, so the numbers
//! are current and add up to the files on disk. The running agent adds what only it knows: its
//! watcher, and how the gateway is.

pub mod check;
pub mod dir_status;
pub mod path;

use std::sync::Arc;

use self::dir_status::DirStatus;
use crate::clock;
use crate::config::Config;
use crate::database::{self, DatabaseError, Lock, Reader};
use crate::files::watch::Watch;
use crate::scanning::scan::{Scan, ScanError, ScanReport};
use crate::states::agent_fact::AgentFact;
use crate::states::counts::{FileCount, StateCounts};
use crate::states::decide::{FilePolicy, RetryProblems};
use crate::states::drill_record::DrillRecord;
use crate::states::existing_files::{WatchState, confirm_before_ns, upload_existing};
use crate::states::gateway_state::GatewayState;
use crate::states::watcher_state::WatcherState;
use s3up_core::error_chain;

/// All times are Unix seconds.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Time at which it was read.
    pub at: i64,
    /// True if an agent runs on this database.
    pub running: bool,
    /// Time at which the running agent last recorded that it works.
    pub alive_at: Option<i64>,
    /// State of the running agent's watcher.
    pub watcher: Option<WatcherState>,
    /// State of the gateway, as the running agent sees it.
    pub gateway: Option<GatewayState>,
    pub last_upload_at: Option<i64>,
    pub last_drill: Option<DrillRecord>,
    /// Time since when the oldest pending file has been pending.
    pub oldest_pending_at: Option<i64>,
    pub total: StateCounts,
    pub watches: Vec<WatchStatus>,
}

#[derive(Clone, Debug, Default)]
pub struct WatchStatus {
    pub files: DirStatus,
    /// The remote prefix.
    pub prefix: String,
    pub recursive: bool,
    /// True if scans alone find its changes (`poll: true`).
    pub poll: bool,
    /// Files that a cleanup deleted. They are not on the host, so they are in no state.
    pub locally_deleted: FileCount,
    /// Time of the last complete scan.
    pub last_scan_at: Option<i64>,
}

/// Reads the status from an open database.
#[derive(Clone, Debug)]
pub struct StatusReader {
    pub config: Arc<Config>,
    pub reader: Reader,
}

impl Status {
    /// Returns the time of the last complete scan of all watches; `None` if there is a watch
    /// without one.
    pub fn last_scan_at(&self) -> Option<i64> {
        let times = self.watches.iter().map(|watch| watch.last_scan_at);
        times.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    pub fn oldest_pending_seconds(&self, now: i64) -> Option<u64> {
        let since = self.oldest_pending_at?;
        Some(u64::try_from(now.saturating_sub(since)).unwrap_or(0))
    }
}

/// Takes the number of files that were examined since its last call.
pub type OnFiles<'f> = &'f (dyn Fn(u64) + Send + Sync);

pub async fn status(config: &Config) -> Result<Status, DatabaseError> {
    status_counted(config, &|_| {}).await
}

/// Returns the status, and counts the files while it reads the tree.
pub async fn status_counted(
    config: &Config,
    on_files: OnFiles<'_>,
) -> Result<Status, DatabaseError> {
    let reader = database::open_read_only(&config.database).await?;
    let status = StatusReader { config: Arc::new(config.clone()), reader: reader.clone() };
    let status = status.read_counted(on_files).await;
    reader.close().await;
    status
}

impl WatchStatus {
    fn of(watch: &Watch, report: ScanReport) -> WatchStatus {
        WatchStatus {
            prefix: watch.prefix.to_string(),
            recursive: watch.recursive,
            poll: watch.poll,
            files: DirStatus::of(watch.root.to_string_lossy().into_owned(), report),
            locally_deleted: FileCount::default(),
            last_scan_at: None,
        }
    }
}

impl StatusReader {
    pub async fn read(&self) -> Result<Status, DatabaseError> {
        self.read_counted(&|_| {}).await
    }

    async fn read_counted(&self, on_files: OnFiles<'_>) -> Result<Status, DatabaseError> {
        let mut status = Status::default();
        let mut oldest_pending_ns: Option<i64> = None;
        for watch in &self.config.watches {
            let (watch, oldest) = self.watch(Arc::new(watch.clone()), on_files).await?;
            status.total += watch.files.counts;
            status.watches.push(watch);
            oldest_pending_ns = [oldest_pending_ns, oldest].into_iter().flatten().min();
        }
        status.oldest_pending_at = oldest_pending_ns.map(|ns| ns.div_euclid(1_000_000_000));
        self.refresh(&mut status).await?;
        Ok(status)
    }

    /// Returns the status by the reports of complete scans of all watches, in their order, that found no
    /// pending file. What needs no scan is missing: [`refresh`](Self::refresh) reads it.
    pub fn of_reports(&self, reports: Vec<ScanReport>) -> Status {
        let mut status = Status::default();
        for (watch, report) in self.config.watches.iter().zip(reports) {
            status.total += report.counts;
            status.watches.push(WatchStatus::of(watch, report));
        }
        status
    }

    /// Reads everything again that needs no scan.
    pub async fn refresh(&self, status: &mut Status) -> Result<(), DatabaseError> {
        status.at = clock::wall_seconds();
        let running = Lock::is_held(&self.config.database);
        status.running = running;
        for fact in self.reader.agent_facts().await? {
            match fact {
                AgentFact::Watcher(state) => status.watcher = running.then_some(state),
                AgentFact::Gateway(state) => status.gateway = running.then_some(state),
                AgentFact::AliveAt(at) => status.alive_at = Some(at),
                AgentFact::Drill(drill) => status.last_drill = Some(drill),
            }
        }
        status.last_upload_at = self.reader.last_upload_at().await?;
        for (watch, status) in self.config.watches.iter().zip(&mut status.watches) {
            let prefix = watch.local_prefix();
            status.locally_deleted = self.reader.deleted_count(&prefix).await?;
            let state = self.reader.watch_state(&prefix).await?;
            status.last_scan_at = state.and_then(|state| state.last_scan_at);
        }
        Ok(())
    }

    /// Returns the status of a watch, and when its oldest pending file was changed.
    async fn watch(
        &self,
        watch: Arc<Watch>,
        on_files: OnFiles<'_>,
    ) -> Result<(WatchStatus, Option<i64>), DatabaseError> {
        let state = self.reader.watch_state(&watch.local_prefix()).await?;
        let policy = policy(&self.config, state.as_ref());
        let report = match scan(watch.clone(), self.reader.clone(), policy, on_files).await {
            Ok(report) => report,
            Err(ScanError::Database(err)) => return Err(err),
            Err(err @ (ScanError::Root(_) | ScanError::Interrupted { .. })) => {
                ScanReport { error: Some(error_chain(&err)), ..ScanReport::default() }
            }
        };
        let oldest_pending_ns = report.oldest_pending_ns;
        let last_scan_at = state.as_ref().and_then(|state| state.last_scan_at);
        let status = WatchStatus { last_scan_at, ..WatchStatus::of(&watch, report) };
        // A file is not pending for longer than its watch is known.
        let since = |ns: i64| state.as_ref().map_or(ns, |state| ns.max(state.known_since_ns));
        Ok((status, oldest_pending_ns.map(since)))
    }
}

/// Returns the policy by which a file is only reported.
pub(crate) fn policy(config: &Config, state: Option<&WatchState>) -> FilePolicy {
    FilePolicy {
        upload_existing: upload_existing(config.upload_existing, state),
        confirm_before_ns: confirm_before_ns(state),
        bytes_max: config.file_bytes_max,
        config: config.fingerprint.clone(),
        retry_problems: RetryProblems::Never,
    }
}

async fn scan(
    watch: Arc<Watch>,
    reader: Reader,
    policy: FilePolicy,
    on_files: OnFiles<'_>,
) -> Result<ScanReport, ScanError> {
    let mut scan = Scan::start(watch, reader, policy);
    while let Some(files) = scan.next().await? {
        on_files(files.len() as u64);
    }
    scan.finish().await
}
