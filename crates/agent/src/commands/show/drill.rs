//! Text of the result of `s3up drill`.

use std::fmt;

use s3up_core::{Count, Size};

use crate::drill::run::DrillSummary;
use crate::restore::summary::Failure;

impl fmt::Display for DrillSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DrillSummary { passed, failed, compared_with_host, failures } = self;
        for Failure { path, reason } in failures {
            writeln!(f, "failed: {path}: {reason}")?;
        }
        let unnamed = failed.files.saturating_sub(failures.len() as u64);
        if unnamed > 0 {
            writeln!(f, "failed: {unnamed} more")?;
        }
        let (count, size) = (Count(passed.files, "file"), Size(passed.bytes));
        writeln!(
            f,
            "{count} restored and compared ({size}), {compared_with_host} of them with the record of \
             this host; {} failed",
            failed.files
        )
    }
}
