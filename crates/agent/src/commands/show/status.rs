//! Text of `s3up status`.

use std::fmt;
use std::time::Duration;

use s3up_core::{Count, Size, age_text};

use crate::reporting::messages::time;
use crate::scanning::live_databases::LiveDatabases;
use crate::states::counts::{FileCount, StateCounts};
use crate::states::decide::ListedProblem;
use crate::states::drill_record::DrillRecord;
use crate::states::gateway_state::{GatewayState, GatewayStatus};
use crate::status::dir_status::DirStatus;
use crate::status::path::{FileState, FileStatus, PathStatus};
use crate::status::{Status, WatchStatus};

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = if self.running { "running" } else { "not running" };
        writeln!(f, "agent: {running}")?;
        if let Some(watcher) = &self.watcher {
            writeln!(f, "watcher: {watcher}")?;
        }
        if let Some(gateway) = &self.gateway {
            writeln!(f, "{gateway}")?;
        }
        if let Some(at) = self.last_upload_at {
            writeln!(f, "last upload: {}", time(at))?;
        }
        if let Some(drill) = &self.last_drill {
            writeln!(f, "{}", drill_line(drill, self.at))?;
        }
        if let Some(at) = self.oldest_pending_at {
            writeln!(f, "oldest pending: since {}", time(at))?;
        }
        for watch in &self.watches {
            write!(f, "\n{watch}")?;
        }
        if self.watches.len() > 1 {
            writeln!(f, "\nall watches")?;
            count_lines(f, &self.total)?;
        }
        Ok(())
    }
}

/// Says when a drill last succeeded, and whether the last one failed.
fn drill_line(drill: &DrillRecord, now: i64) -> String {
    let good = match drill.last_good_at {
        Some(at) => {
            let age = Duration::from_secs(u64::try_from(now.saturating_sub(at)).unwrap_or(0));
            format!("last good drill: {} ({} ago)", time(at), age_text(age))
        }
        None => "last good drill: never".to_owned(),
    };
    match (drill.is_good(), drill.files) {
        (true, files) => format!("{good}, {}", Count(files, "file")),
        (false, 0) => format!("{good}; the one of {} could not be carried out", time(drill.at)),
        (false, files) => {
            format!(
                "{good}; in that of {} {} of {files} files failed",
                time(drill.at),
                drill.failed
            )
        }
    }
}

impl fmt::Display for WatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DirStatus { local_path, error, .. } = &self.files;
        writeln!(f, "{local_path}")?;
        scan_error(f, error.as_deref())?;
        match self.last_scan_at {
            Some(at) => writeln!(f, "  last complete scan: {}", time(at))?,
            None => writeln!(f, "  last complete scan: never")?,
        }
        if self.poll {
            writeln!(f, "  not watched: scans find its changes (poll: true)")?;
        }
        files(f, &self.files)?;
        if self.locally_deleted.files > 0 {
            line(f, "deleted", self.locally_deleted, "by cleanup, and stored in S3 only")?;
        }
        Ok(())
    }
}

impl fmt::Display for GatewayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway: {}", self.status.as_str())?;
        match (self.status, &self.reason) {
            (GatewayStatus::Ok, _) => Ok(()),
            (GatewayStatus::Unavailable | GatewayStatus::KeyRefused, reason) => {
                let reason = reason.as_deref().unwrap_or("unknown error");
                write!(f, " since {}: {reason}", time(self.since))
            }
        }
    }
}

impl fmt::Display for FileStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.local_path, self.state.as_str())?;
        match &self.state {
            FileState::Protected | FileState::Baseline | FileState::Missing => writeln!(f)?,
            FileState::LocallyDeleted(at) => writeln!(f, " by cleanup at {}", time(*at))?,
            FileState::Pending(reason) => writeln!(f, ": {reason}")?,
            FileState::Excluded(reason) => writeln!(f, ": {reason}")?,
            FileState::Problem(problem) => writeln!(f, ": {problem}")?,
        }
        if let Some(remote_path) = &self.remote_path {
            writeln!(f, "  remote path: {remote_path}")?;
        }
        if let FileState::Problem(problem) = &self.state {
            writeln!(f, "  {}", problem.help())?;
        }
        Ok(())
    }
}

impl fmt::Display for PathStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathStatus::File(status) => status.fmt(f),
            PathStatus::Dir(status) => {
                writeln!(f, "{}", status.local_path)?;
                scan_error(f, status.error.as_deref())?;
                files(f, status)
            }
        }
    }
}

fn files(f: &mut fmt::Formatter<'_>, status: &DirStatus) -> fmt::Result {
    let DirStatus { counts, excluded, problems, unprovable, .. } = status;
    count_lines(f, counts)?;
    if *unprovable > 0 {
        writeln!(
            f,
            "  not provable: {unprovable} of the protected, on a filesystem without change times: content \
             that was replaced with its size and date kept, while no agent ran, is not seen"
        )?;
    }
    if let LiveDatabases { files, example: Some(example) } = &status.live_databases {
        writeln!(
            f,
            "  files of databases: {files}, such as {example}: a copy may be torn while the database \
             runs; back up a dump, and exclude them"
        )?;
    }
    for (reason, entries) in excluded {
        writeln!(f, "  excluded ({reason}): {entries}")?;
    }
    for ListedProblem { local_path, problem } in problems {
        writeln!(f, "  problem: {local_path}: {problem}\n    {}", problem.help())?;
    }
    let unlisted = counts.problems.files - problems.len() as u64;
    if unlisted > 0 {
        writeln!(f, "  problems not listed: {unlisted}")?;
    }
    Ok(())
}

fn scan_error(f: &mut fmt::Formatter<'_>, error: Option<&str>) -> fmt::Result {
    match error {
        Some(error) => writeln!(f, "  scan failed: {error}"),
        None => Ok(()),
    }
}

fn count_lines(f: &mut fmt::Formatter<'_>, counts: &StateCounts) -> fmt::Result {
    let StateCounts { protected, pending, baseline, excluded, problems } = counts;
    line(f, "protected", *protected, "")?;
    line(f, "pending", *pending, "")?;
    if baseline.files > 0 {
        line(f, "baseline", *baseline, "not protected: existed before the agent")?;
    }
    if excluded.files > 0 {
        writeln!(f, "  {:<10} {:>9}", "excluded", excluded.files)?;
    }
    line(f, "problems", *problems, "")?;
    writeln!(f, "  {:<10} {:>9}", "total", counts.total().files)
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, count: FileCount, note: &str) -> fmt::Result {
    let size = Size(count.bytes).to_string();
    let text = format!("  {name:<10} {:>9} {size:>9}  {note}", count.files);
    writeln!(f, "{}", text.trim_end())
}
