//! Text of the summary of `s3up scan`.

use std::fmt;

use s3up_core::{Count, Size};

use crate::daemon::Summary;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.scan_errors {
            writeln!(f, "scan failed: {error}")?;
        }
        for (path, reason) in &self.failed {
            writeln!(f, "problem: {path}: {reason}")?;
        }
        for (path, reason) in &self.not_uploaded {
            writeln!(f, "not uploaded: {path}: {reason}")?;
        }
        if self.ended.gone > 0 {
            writeln!(f, "deleted during the scan: {}", Count(self.ended.gone, "file"))?;
        }
        writeln!(
            f,
            "{} uploaded ({}), {}, {} pending",
            Count(self.uploaded, "file"),
            Size(self.bytes),
            Count(self.problems, "problem"),
            self.pending
        )
    }
}
