//! The state of the engine, and the messages of its tasks.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::daemon::scan_job::{PendingFiles, ScanResult};
use crate::daemon::stat_files::CheckedFile;
use crate::daemon::summary::{Ending, Summary};
use crate::database::Reader;
use crate::database::recorder::WriteRequest;
use crate::files::confined_fs::RootId;
use crate::files::watch::{Name, Watch, WatchIndex};
use crate::gateway::client::GatewayClient;
use crate::scanning::scan::ScanReport;
use crate::scanning::schedule::ScanIntervals;
use crate::settling::{ClockReading, SettlePolicy, SettleWheel};
use crate::states::decide::UploadExisting;
use crate::states::existing_files::{WatchState, upload_existing};
use crate::states::gateway_state::GatewayState;
use crate::uploading::batch_switch::BatchSwitch;
use crate::uploading::circuit_breaker::{CircuitBreaker, Permit};
use crate::uploading::concurrency::Concurrency;
use crate::uploading::hot_file::HotFile;
use crate::uploading::outcome::Outcome;
use crate::uploading::queue::{Job, LaneLimits, Queue};
use crate::uploading::retry::RetryPolicy;
use crate::uploading::stable_copy::Spool;
use crate::uploading::upload::Uploader;
use crate::watching::{WatchGaps, WatcherHandle};

#[derive(Clone, Debug)]
pub(in crate::daemon) enum Mode {
    Daemon { watcher: Option<WatcherHandle> },
    Once,
}

/// Everything the engine works with.
#[derive(Debug)]
pub(in crate::daemon) struct Parts {
    pub(in crate::daemon) watches: Vec<Arc<Watch>>,
    /// State of each watch when the agent started.
    pub(in crate::daemon) states: Vec<WatchState>,
    pub(in crate::daemon) gateway: GatewayClient,
    pub(in crate::daemon) reader: Reader,
    pub(in crate::daemon) requests: mpsc::Sender<WriteRequest>,
    pub(in crate::daemon) pending_files: mpsc::Sender<PendingFiles>,
    pub(in crate::daemon) changes: Arc<AtomicU64>,
    pub(in crate::daemon) watch_turned: watch::Sender<()>,
    pub(in crate::daemon) scanned: watch::Sender<bool>,
}

#[derive(Debug)]
pub(in crate::daemon) enum TaskResult {
    Uploaded(Vec<UploadResult>),
    FilesChecked(Vec<(Name, CheckedFile)>),
    RootsChecked(Vec<Option<RootId>>),
    Scanned(Vec<ScanResult>),
}

#[derive(Debug)]
pub(in crate::daemon) struct UploadResult {
    pub(super) job: Job<Name>,
    pub(super) permit: Permit,
    /// Epoch of the concurrency limit when the upload started.
    pub(super) epoch: u64,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// The part of the configuration that the engine needs.
#[derive(Debug)]
pub(in crate::daemon) struct EngineOptions {
    pub(in crate::daemon) settle: SettlePolicy,
    pub(in crate::daemon) lanes: LaneLimits,
    pub(in crate::daemon) retry: RetryPolicy,
    pub(in crate::daemon) scans: ScanIntervals,
    /// `scan.upload_existing`.
    pub(in crate::daemon) upload_existing: bool,
    pub(in crate::daemon) file_bytes_max: Option<u64>,
    pub(in crate::daemon) spool: Spool,
    /// Digest of the settings that decide whether the gateway accepts a file.
    pub(in crate::daemon) fingerprint: String,
}

#[derive(Debug)]
pub(in crate::daemon) struct Engine {
    pub(in crate::daemon) tasks: JoinSet<TaskResult>,
    pub(super) options: EngineOptions,
    pub(super) mode: Mode,
    /// `None` once the engine stops: scans end when their channels are dropped.
    pub(super) parts: Option<Parts>,
    pub(super) watches: Vec<Arc<Watch>>,
    pub(super) states: Vec<WatchState>,
    pub(super) uploader: Arc<Uploader>,
    pub(super) wheel: SettleWheel<Name>,
    pub(super) queue: Queue<Name>,
    pub(super) breaker: CircuitBreaker,
    pub(super) concurrency: Concurrency,
    /// True if a recorded problem may end when the gateway works or is configured otherwise.
    pub(super) has_problems: bool,
    pub(super) requests: VecDeque<WriteRequest>,
    pub(super) scans: Scans,
    /// Files to be checked again, by the time at which they are due.
    pub(super) delayed_checks: BTreeSet<(Instant, Name)>,
    /// The files with torn uploads.
    pub(super) hot_files: HashMap<Name, HotFile>,
    pub(super) checking_files: bool,
    pub(super) unauthorized: bool,
    /// State of the gateway, as it was last published.
    pub(super) gateway: Option<GatewayState>,
    /// True if the last heartbeat failed.
    pub(super) heartbeats_fail: bool,
    /// True if a heartbeat failed after one that succeeded, and no upload has succeeded since. Later
    /// failures do not count: a proxy may refuse all heartbeats and pass the uploads.
    pub(super) heartbeat_failed_first: bool,
    pub(super) gave_up: bool,
    pub(super) stopping: bool,
    /// Grows with each change, so that the files are counted again.
    pub(super) changes: Arc<AtomicU64>,
    /// Notified each time that scans of a watch begin to fail, or to succeed again.
    pub(super) watch_turned: watch::Sender<()>,
    /// Becomes true once all watches were scanned.
    pub(super) scanned: watch::Sender<bool>,
    pub(super) summary: Summary,
    /// The end of each file whose change is being recorded; for `s3up scan`.
    pub(super) endings: HashMap<Name, Ending>,
    /// The root of each watch that its last scan opened.
    pub(super) scanned_roots: Vec<Option<RootId>>,
}

/// The watches to scan next, and the times of scans.
#[derive(Debug)]
pub(super) struct Scans {
    pub(super) running: bool,
    pub(super) requested: BTreeSet<WatchIndex>,
    /// Watches whose last scan failed.
    pub(super) failed: BTreeSet<WatchIndex>,
    /// Watches with files of databases, which were logged once.
    pub(super) warned_of_databases: BTreeSet<WatchIndex>,
    /// No scan starts before this time, so that overflows in a row do not keep the
    /// disk busy.
    pub(super) earliest: Instant,
    /// Time of the next scan of each watch.
    pub(super) next_at: Vec<Instant>,
    /// Duration of the last scans.
    pub(super) last_took: Duration,
    /// Device and inode of each root at the last check.
    pub(super) roots: Option<Vec<Option<RootId>>>,
    pub(super) roots_at: Instant,
    pub(super) checking_roots: bool,
    pub(super) degraded: Option<WatchGaps>,
    /// Number of scans in a row that could not find out whether a database was lost.
    pub(super) history_tries: u32,
    /// True if it is not known of some watch whether its existing files may be baseline.
    pub(super) undecided: bool,
    /// Reports of the complete scans of `s3up scan`, by watch.
    pub(super) reports: BTreeMap<WatchIndex, ScanReport>,
}

impl Engine {
    pub(in crate::daemon) fn new(
        options: EngineOptions,
        mode: Mode,
        parts: Parts,
        now: ClockReading,
    ) -> Engine {
        let (changes, scanned) = (parts.changes.clone(), parts.scanned.clone());
        let watch_turned = parts.watch_turned.clone();
        let scanned_roots = vec![None; parts.watches.len()];
        let undecided = parts.states.iter().any(|state| is_undecided(&options, state));
        let scans = Scans::new(now.instant, parts.watches.len(), undecided);
        Engine {
            tasks: JoinSet::new(),
            wheel: SettleWheel::new(options.settle),
            queue: Queue::new(options.lanes),
            breaker: CircuitBreaker::new(options.retry),
            concurrency: Concurrency::new(options.lanes.short + options.lanes.long),
            has_problems: false,
            uploader: Arc::new(Uploader {
                gateway: parts.gateway.clone(),
                reader: parts.reader.clone(),
                spool: options.spool.clone(),
                batches: BatchSwitch::default(),
            }),
            watches: parts.watches.clone(),
            states: parts.states.clone(),
            options,
            mode,
            parts: Some(parts),
            requests: VecDeque::new(),
            scans,
            delayed_checks: BTreeSet::new(),
            hot_files: HashMap::new(),
            checking_files: false,
            unauthorized: false,
            gateway: None,
            heartbeats_fail: false,
            heartbeat_failed_first: false,
            changes,
            watch_turned,
            scanned,
            gave_up: false,
            stopping: false,
            summary: Summary::default(),
            endings: HashMap::new(),
            scanned_roots,
        }
    }
}

/// Returns true if existing files of the watch may be baseline, and it is not known yet.
pub(super) fn is_undecided(options: &EngineOptions, state: &WatchState) -> bool {
    let existing = upload_existing(options.upload_existing, Some(state));
    matches!(existing, UploadExisting::Undecided { .. })
}

impl Scans {
    fn new(now: Instant, watches: usize, undecided: bool) -> Scans {
        Scans {
            running: false,
            requested: BTreeSet::new(),
            failed: BTreeSet::new(),
            warned_of_databases: BTreeSet::new(),
            earliest: now,
            next_at: vec![now; watches],
            last_took: Duration::ZERO,
            roots: None,
            roots_at: now,
            checking_roots: false,
            degraded: None,
            history_tries: 0,
            undecided,
            reports: BTreeMap::new(),
        }
    }
}
