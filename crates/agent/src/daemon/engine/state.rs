//! The state of the engine, and the messages of its tasks.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::daemon::scan_job::{FoundFiles, ScanResult};
use crate::daemon::stat_files::FileStatus;
use crate::daemon::summary::Summary;
use crate::database::Reader;
use crate::database::recorder::WriteRequest;
use crate::files::watch::{Name, Watch, WatchIndex};
use crate::gateway::client::GatewayClient;
use crate::settling::{Clocks, SettlePolicy, SettleWheel};
use crate::states::decide::UploadExisting;
use crate::uploading::circuit_breaker::{CircuitBreaker, Permit};
use crate::uploading::outcome::Outcome;
use crate::uploading::queue::{Job, LaneLimits, Queue};
use crate::uploading::retry::RetryPolicy;
use crate::uploading::upload::Uploader;
use crate::watching::{Degraded, WatcherHandle};

#[derive(Clone, Debug)]
pub(in crate::daemon) enum Mode {
    Daemon { watcher: Option<WatcherHandle> },
    Once,
}

/// Everything the engine works with.
#[derive(Debug)]
pub(in crate::daemon) struct Parts {
    pub(in crate::daemon) watches: Vec<Arc<Watch>>,
    pub(in crate::daemon) existing: Vec<UploadExisting>,
    pub(in crate::daemon) gateway: GatewayClient,
    pub(in crate::daemon) reader: Reader,
    pub(in crate::daemon) requests: mpsc::Sender<WriteRequest>,
    pub(in crate::daemon) found: mpsc::Sender<FoundFiles>,
}

#[derive(Debug)]
pub(in crate::daemon) enum TaskResult {
    Uploaded(Box<UploadResult>),
    FilesChecked(Vec<(Name, FileStatus)>),
    RootsChecked(Vec<Option<(u64, u64)>>),
    Scanned(Vec<ScanResult>),
}

#[derive(Debug)]
pub(in crate::daemon) struct UploadResult {
    pub(super) job: Job<Name>,
    pub(super) permit: Permit,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// The part of the configuration that the engine needs.
#[derive(Debug)]
pub(in crate::daemon) struct EngineOptions {
    pub(in crate::daemon) settle: SettlePolicy,
    pub(in crate::daemon) lanes: LaneLimits,
    pub(in crate::daemon) retry: RetryPolicy,
    pub(in crate::daemon) scan_every: Duration,
    pub(in crate::daemon) file_bytes_max: Option<u64>,
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
    pub(super) existing: Vec<UploadExisting>,
    pub(super) uploader: Arc<Uploader>,
    pub(super) wheel: SettleWheel<Name>,
    pub(super) queue: Queue<Name>,
    pub(super) breaker: CircuitBreaker,
    pub(super) requests: VecDeque<WriteRequest>,
    pub(super) scans: Scans,
    pub(super) checking_files: bool,
    pub(super) unauthorized: bool,
    pub(super) gave_up: bool,
    pub(super) stopping: bool,
    pub(super) summary: Summary,
}

/// The watches to scan next, and the times of scans.
#[derive(Debug)]
pub(super) struct Scans {
    pub(super) running: bool,
    pub(super) wanted: BTreeSet<WatchIndex>,
    /// No scan starts before this time, so that overflows in a row do not keep the
    /// disk busy.
    pub(super) earliest: Instant,
    pub(super) next_at: Instant,
    pub(super) last_took: Duration,
    /// Device and inode of each root at the last check.
    pub(super) roots: Option<Vec<Option<(u64, u64)>>>,
    pub(super) roots_at: Instant,
    pub(super) checking_roots: bool,
    pub(super) degraded: Option<Degraded>,
}

impl Engine {
    pub(in crate::daemon) fn new(
        options: EngineOptions,
        mode: Mode,
        parts: Parts,
        now: Clocks,
    ) -> Engine {
        Engine {
            tasks: JoinSet::new(),
            wheel: SettleWheel::new(options.settle),
            queue: Queue::new(options.lanes),
            breaker: CircuitBreaker::new(options.retry),
            uploader: Arc::new(Uploader {
                gateway: parts.gateway.clone(),
                reader: parts.reader.clone(),
            }),
            watches: parts.watches.clone(),
            existing: parts.existing.clone(),
            options,
            mode,
            parts: Some(parts),
            requests: VecDeque::new(),
            scans: Scans::new(now.instant),
            checking_files: false,
            unauthorized: false,
            gave_up: false,
            stopping: false,
            summary: Summary::default(),
        }
    }
}

impl Scans {
    fn new(now: Instant) -> Scans {
        Scans {
            running: false,
            wanted: BTreeSet::new(),
            earliest: now,
            next_at: now,
            last_took: Duration::ZERO,
            roots: None,
            roots_at: now,
            checking_roots: false,
            degraded: None,
        }
    }
}
