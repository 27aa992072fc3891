//! The status of all files on the host, for `s3up status`.
//!
//! It is the result of a scan, which only reads the database and may run beside
//! an agent. It decides states by the same function as the agent, so the numbers
//! are current and add up to the files on disk.

use std::sync::Arc;

use serde::Serialize;

use crate::config::Config;
use crate::database::{self, DatabaseError, Lock, Reader};
use crate::files::watch::Watch;
use crate::scanning::scan::{Report, Scan, ScanError};
use crate::states::counts::StateCounts;
use crate::states::decide::{FilePolicy, RetryProblems};
use crate::states::existing_files::upload_existing;
use s3up_core::error_chain;

/// The output of `s3up status --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// True if an agent runs on this database.
    pub running: bool,
    /// State of the running agent's watcher.
    pub watcher: Option<String>,
    pub total: StateCounts,
    pub watches: Vec<WatchStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WatchStatus {
    pub local_path: String,
    pub counts: StateCounts,
    /// Number of excluded entries by reason.
    pub excluded: Vec<Excluded>,
    pub problems: Vec<Problem>,
    /// Error of the watch as a whole, which could not be scanned.
    pub error: Option<String>,
    /// Time of the last complete scan in Unix seconds.
    pub last_scan_at: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Excluded {
    pub reason: &'static str,
    pub entries: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub local_path: String,
    pub reason: String,
}

pub async fn status(config: &Config) -> Result<Status, DatabaseError> {
    let reader = database::open_read_only(&config.database).await?;
    let running = Lock::is_held(&config.database);
    let watcher = reader.agent_state("watcher").await?.filter(|_| running);
    let (mut total, mut watches) = (StateCounts::default(), Vec::new());
    for watch in &config.watches {
        let status = watch_status(Arc::new(watch.clone()), config, &reader).await?;
        total += status.counts;
        watches.push(status);
    }
    Ok(Status { running, watcher, total, watches })
}

async fn watch_status(
    watch: Arc<Watch>,
    config: &Config,
    reader: &Reader,
) -> Result<WatchStatus, DatabaseError> {
    let state = reader.watch_state(&watch.local_prefix()).await?;
    let policy = FilePolicy {
        upload_existing: upload_existing(config.upload_existing, state.as_ref()),
        bytes_max: config.file_bytes_max,
        config: config.fingerprint.clone(),
        retry_problems: RetryProblems::Never,
    };
    let report = match scan(watch.clone(), reader.clone(), policy).await {
        Ok(report) => report,
        Err(ScanError::Database(err)) => return Err(err),
        Err(err @ (ScanError::Root(_) | ScanError::Stopped { .. })) => {
            Report { error: Some(error_chain(&err)), ..Report::default() }
        }
    };
    let excluded = report.excluded.iter();
    let problems = report.problems.into_iter();
    Ok(WatchStatus {
        local_path: watch.root.to_string_lossy().into_owned(),
        counts: report.counts,
        excluded: excluded
            .map(|(reason, entries)| Excluded { reason: reason.as_str(), entries: *entries })
            .collect(),
        problems: problems.map(|(local_path, reason)| Problem { local_path, reason }).collect(),
        error: report.error,
        last_scan_at: state.and_then(|state| state.last_scan_at),
    })
}

async fn scan(watch: Arc<Watch>, reader: Reader, policy: FilePolicy) -> Result<Report, ScanError> {
    let mut scan = Scan::start(watch, reader, policy);
    while scan.next().await?.is_some() {}
    scan.finish().await
}
