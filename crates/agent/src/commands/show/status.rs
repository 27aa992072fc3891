//! Text of `s3up status`.

use std::fmt;

use s3up_core::Size;

use crate::reporting::messages::time;
use crate::states::counts::{FileCount, StateCounts};
use crate::states::gateway_state::{GatewayState, GatewayStatus};
use crate::states::problem::ListedProblem;
use crate::status::one_file::FileStatus;
use crate::status::{Excluded, Status, WatchStatus};

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
        if let Some(at) = self.oldest_pending_at {
            writeln!(f, "oldest pending: since {}", time(at))?;
        }
        for watch in &self.watches {
            write!(f, "\n{watch}")?;
        }
        if self.watches.len() > 1 {
            writeln!(f, "\nall watches")?;
            counts(f, &self.total)?;
        }
        Ok(())
    }
}

impl fmt::Display for WatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.local_path)?;
        if let Some(error) = &self.error {
            writeln!(f, "  scan failed: {error}")?;
        }
        match self.last_scan_at {
            Some(at) => writeln!(f, "  last complete scan: {}", time(at))?,
            None => writeln!(f, "  last complete scan: never")?,
        }
        counts(f, &self.counts)?;
        for Excluded { reason, entries } in &self.excluded {
            writeln!(f, "  excluded ({reason}): {entries}")?;
        }
        for ListedProblem { local_path, reason, help } in &self.problems {
            writeln!(f, "  problem: {local_path}: {reason}\n    {help}")?;
        }
        let unlisted = self.counts.problems.files - self.problems.len() as u64;
        if unlisted > 0 {
            writeln!(f, "  problems not listed: {unlisted}")?;
        }
        Ok(())
    }
}

impl fmt::Display for GatewayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway: {}", self.status.as_str())?;
        match (self.status, &self.reason) {
            (GatewayStatus::Ok, _) => Ok(()),
            (GatewayStatus::Away | GatewayStatus::KeyRefused, reason) => {
                let reason = reason.as_deref().unwrap_or("unknown error");
                write!(f, " since {}: {reason}", time(self.since))
            }
        }
    }
}

impl fmt::Display for FileStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.local_path, self.state)?;
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        writeln!(f)?;
        if let Some(remote_path) = &self.remote_path {
            writeln!(f, "  remote path: {remote_path}")?;
        }
        if let Some(help) = self.help {
            writeln!(f, "  {help}")?;
        }
        Ok(())
    }
}

fn counts(f: &mut fmt::Formatter<'_>, counts: &StateCounts) -> fmt::Result {
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
