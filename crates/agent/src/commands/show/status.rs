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
            counts(f, &self.total, &[], &[])?;
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
        counts(f, &self.counts, &self.excluded, &self.problems)
    }
}

/// Writes a row for each state, with the details of a row indented below it.
fn counts(
    f: &mut fmt::Formatter<'_>,
    counts: &StateCounts,
    excluded_by: &[Excluded],
    listed: &[Problem],
) -> fmt::Result {
    let StateCounts { protected, pending, baseline, excluded, problems } = counts;
    line(f, "protected", *protected, "")?;
    line(f, "pending", *pending, "")?;
    if baseline.files > 0 {
        line(f, "baseline", *baseline, "not protected: existed before the agent")?;
    }
    if excluded.files > 0 {
        writeln!(f, "  {:<10} {:>9}", "excluded", excluded.files)?;
    }
    for Excluded { reason, entries } in excluded_by {
        writeln!(f, "    {reason}: {entries}")?;
    }
    line(f, "problems", *problems, "")?;
    for Problem { local_path, reason } in listed {
        writeln!(f, "    {local_path}: {reason}")?;
    }
    let unlisted = problems.files.saturating_sub(listed.len() as u64);
    if unlisted > 0 && !listed.is_empty() {
        writeln!(f, "    and {unlisted} more")?;
    }
    writeln!(f, "  {:<10} {:>9}", "total", counts.total().files)
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, count: FileCount, note: &str) -> fmt::Result {
    let size = Size(count.bytes).to_string();
    let text = format!("  {name:<10} {:>9} {size:>9}  {note}", count.files);
    writeln!(f, "{}", text.trim_end())
}
