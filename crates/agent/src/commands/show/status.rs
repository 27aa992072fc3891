//! Text of `s3up status`.

use std::fmt;

use s3up_core::Size;

use crate::states::counts::{FileCount, StateCounts};
use crate::status::{Excluded, Problem, Status, WatchStatus};

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
        counts(f, &self.counts)?;
        for Excluded { reason, entries } in &self.excluded {
            writeln!(f, "  excluded ({reason}): {entries}")?;
        }
        for Problem { local_path, reason } in &self.problems {
            writeln!(f, "  problem: {local_path}: {reason}")?;
        }
        let unlisted = self.counts.problems.files - self.problems.len() as u64;
        if unlisted > 0 {
            writeln!(f, "  problems not listed: {unlisted}")?;
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
