//! Texts of the plan and of the summary of `s3up restore`.

use std::fmt;

use s3up_core::{Count, Size};

use crate::restore::summary::{Failure, PlanSummary, RestoreSummary};
use crate::states::counts::FileCount;

impl fmt::Display for RestoreSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "not restored", &self.failures, self.failed.files)?;
        line(f, "restored", self.restored, "")?;
        line(f, "skipped", self.skipped, "whole already")?;
        line(f, "failed", self.failed, "")?;
        if self.without_digest > 0 {
            let count = Count(self.without_digest, "file");
            writeln!(f, "the gateway knows no SHA-256 of {count}; only the length was checked")?;
        }
        if self.metadata_set > 0 {
            let count = Count(self.metadata_set, "file");
            writeln!(f, "metadata set: {count} had the content and another mode or time")?;
        }
        if self.metadata_differs > 0 {
            let count = Count(self.metadata_differs, "file");
            writeln!(f, "metadata differs: {count} of another mode or time; pass --overwrite")?;
        }
        if self.metadata_refused > 0 {
            let count = Count(self.metadata_refused, "file");
            writeln!(f, "the filesystem refused the mode or the time of {count}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "conflict", &self.failures, self.conflicts.files)?;
        line(f, "create", self.create, "")?;
        line(f, "replace", self.replace, "")?;
        line(f, "skip", self.skip, "whole already")?;
        if self.metadata_differs > 0 {
            let count = Count(self.metadata_differs, "file");
            writeln!(f, "metadata differs: {count} of another mode or time")?;
        }
        line(f, "conflicts", self.conflicts, "cannot be restored here")?;
        if self.archived.files > 0 {
            line(f, "archived", self.archived, "of these, to be thawed first")?;
        }
        Ok(())
    }
}

/// Lists the failures that were kept, and says how many there are beside them.
fn list(f: &mut fmt::Formatter<'_>, what: &str, failures: &[Failure], files: u64) -> fmt::Result {
    for Failure { path, reason } in failures {
        writeln!(f, "{what}: {path}: {reason}")?;
    }
    match files.saturating_sub(failures.len() as u64) {
        0 => Ok(()),
        more => writeln!(f, "{what}: {more} more, see the log"),
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, count: FileCount, note: &str) -> fmt::Result {
    if count.files == 0 && name != "restored" && name != "create" {
        return Ok(());
    }
    let text =
        format!("{name:<10} {:>9} {:>9}  {note}", count.files, Size(count.bytes).to_string());
    writeln!(f, "{}", text.trim_end())
}
