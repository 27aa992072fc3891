//! `s3up status`: in which state every file on the host is.
//!
//! It scans the watches beside a running agent, with the same decision and a
//! read-only look at the database, so that the numbers are those of this
//! moment and add up to what is on disk.

use std::fmt;
use std::sync::Arc;

use s3up_core::Size;
use serde::Serialize;

use crate::agent::upload_existing;
use crate::config::Config;
use crate::db::{self, DbError, Lock, Reader};
use crate::decide::{ParkedFiles, Policy};
use crate::scan::{Report, Scan, ScanError};
use crate::tally::{Count, Tally};
use crate::watch::Watch;

/// What `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// True where an agent runs on this database.
    pub running: bool,
    /// What the running agent says of its watcher.
    pub watcher: Option<String>,
    pub total: Tally,
    pub watches: Vec<WatchStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WatchStatus {
    pub local_path: String,
    pub tally: Tally,
    /// Entries left out, by reason.
    pub excluded: Vec<Excluded>,
    pub problems: Vec<Problem>,
    /// Why the watch as a whole could not be scanned.
    pub trouble: Option<String>,
    /// Unix seconds.
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

pub async fn status(config: &Config) -> Result<Status, DbError> {
    let reader = db::open_read_only(&config.database).await?;
    let running = Lock::is_held(&config.database);
    let watcher = reader.agent_state("watcher").await?.filter(|_| running);
    let (mut total, mut watches) = (Tally::default(), Vec::new());
    for watch in &config.watches {
        let status = watch_status(Arc::new(watch.clone()), config, &reader).await?;
        total += status.tally;
        watches.push(status);
    }
    Ok(Status { running, watcher, total, watches })
}

async fn watch_status(
    watch: Arc<Watch>,
    config: &Config,
    reader: &Reader,
) -> Result<WatchStatus, DbError> {
    let state = reader.watch_state(&watch.local_prefix()).await?;
    let policy = Policy {
        upload_existing: upload_existing(config.upload_existing, state.as_ref()),
        bytes_max: config.file_bytes_max,
        config: config.fingerprint.clone(),
        parked: ParkedFiles::Hold,
    };
    let report = match look(watch.clone(), reader.clone(), policy).await {
        Ok(report) => report,
        Err(ScanError::Db(err)) => return Err(err),
        Err(err @ (ScanError::Root(_) | ScanError::Stopped { .. })) => {
            Report { trouble: Some(crate::client::one_line(&err)), ..Report::default() }
        }
    };
    let excluded = report.excluded.iter();
    let problems = report.problems.into_iter();
    Ok(WatchStatus {
        local_path: watch.root.to_string_lossy().into_owned(),
        tally: report.tally,
        excluded: excluded
            .map(|(reason, entries)| Excluded { reason: reason.as_str(), entries: *entries })
            .collect(),
        problems: problems.map(|(local_path, reason)| Problem { local_path, reason }).collect(),
        trouble: report.trouble,
        last_scan_at: state.and_then(|state| state.last_scan_at),
    })
}

async fn look(watch: Arc<Watch>, reader: Reader, policy: Policy) -> Result<Report, ScanError> {
    let mut scan = Scan::start(watch, reader, policy);
    while scan.next().await?.is_some() {}
    scan.finish().await
}

impl Status {
    /// True where nothing stands between a file and its backup but time.
    pub fn is_well(&self) -> bool {
        self.total.problems.files == 0 && self.watches.iter().all(|watch| watch.trouble.is_none())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = if self.running { "running" } else { "not running" };
        writeln!(f, "agent: {running}")?;
        if let Some(watcher) = &self.watcher {
            writeln!(f, "watcher: {watcher}")?;
        }
        for watch in &self.watches {
            write!(f, "\n{watch}")?;
        }
        if self.watches.len() > 1 {
            writeln!(f, "\nall watches")?;
            tally(f, &self.total)?;
        }
        Ok(())
    }
}

impl fmt::Display for WatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.local_path)?;
        if let Some(trouble) = &self.trouble {
            writeln!(f, "  trouble: {trouble}")?;
        }
        tally(f, &self.tally)?;
        for Excluded { reason, entries } in &self.excluded {
            writeln!(f, "  excluded ({reason}): {entries}")?;
        }
        for Problem { local_path, reason } in &self.problems {
            writeln!(f, "  problem: {local_path}: {reason}")?;
        }
        let unnamed = self.tally.problems.files - self.problems.len() as u64;
        if unnamed > 0 {
            writeln!(f, "  and {unnamed} more problems")?;
        }
        Ok(())
    }
}

fn tally(f: &mut fmt::Formatter<'_>, tally: &Tally) -> fmt::Result {
    let Tally { protected, pending, baseline, excluded, problems } = tally;
    line(f, "protected", *protected, "")?;
    line(f, "pending", *pending, "")?;
    line(f, "baseline", *baseline, "not protected: there before the agent was")?;
    writeln!(f, "  {:<10} {:>9}", "excluded", excluded.files)?;
    line(f, "problems", *problems, "")?;
    writeln!(f, "  {:<10} {:>9}", "total", tally.total().files)
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, count: Count, note: &str) -> fmt::Result {
    let note = if count.files == 0 { "" } else { note };
    let size = Size(count.bytes).to_string();
    let text = format!("  {name:<10} {:>9} {size:>9}  {note}", count.files);
    writeln!(f, "{}", text.trim_end())
}
