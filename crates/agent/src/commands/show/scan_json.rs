//! The output of `s3up scan --json`.

use serde::Serialize;

use crate::daemon::Summary;
use crate::states::counts::FileCount;

#[derive(Debug, Serialize)]
pub(in crate::commands) struct ScanLine<'s> {
    uploaded: FileCount,
    /// Number of files that were protected already.
    protected: u64,
    problems: u64,
    /// Number of files that still have to be uploaded.
    pending: u64,
    /// Number of files that were deleted during the scan.
    gone: u64,
    /// True if the gateway stayed unreachable or refused the key.
    gave_up: bool,
    /// Files with a problem; at most the first thousand of each watch.
    failed: Vec<FileReason<'s>>,
    /// Pending files that this scan tried to upload; at most a thousand.
    not_uploaded: Vec<FileReason<'s>>,
    /// Errors of watches that could not be scanned.
    errors: &'s [String],
}

#[derive(Debug, Serialize)]
struct FileReason<'s> {
    local_path: &'s str,
    reason: &'s str,
}

impl ScanLine<'_> {
    pub(in crate::commands) fn of(summary: &Summary) -> ScanLine<'_> {
        ScanLine {
            uploaded: FileCount { files: summary.uploaded, bytes: summary.bytes },
            protected: summary.protected,
            problems: summary.problems,
            pending: summary.pending,
            gone: summary.ended.gone,
            gave_up: summary.gave_up,
            failed: reasons(&summary.failed),
            not_uploaded: reasons(&summary.not_uploaded),
            errors: &summary.scan_errors,
        }
    }
}

fn reasons(files: &[(String, String)]) -> Vec<FileReason<'_>> {
    files.iter().map(|(local_path, reason)| FileReason { local_path, reason }).collect()
}
