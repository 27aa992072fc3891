//! Counts of a restore, and the files that were not restored.

use serde::Serialize;

use super::plan::{MetadataStep, Step, WholeReason};
use crate::remote_files::remote_file::RemoteFile;
use crate::states::counts::FileCount;

/// Maximum number of failures that are kept for the summary. Each is logged as well.
pub const FAILURES_MAX: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub path: String,
    pub reason: String,
}

/// The result of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreSummary {
    pub restored: FileCount,
    /// Files that were whole already.
    pub skipped: FileCount,
    pub failed: FileCount,
    /// Files among `restored` and `skipped` of which the gateway does not know the SHA-256.
    pub without_digest: u64,
    /// Files among `skipped` that got their mode and their time.
    pub metadata_set: u64,
    /// Files among `skipped` whose mode or time differs and stays.
    pub metadata_differs: u64,
    /// Files among `restored` and `skipped` whose mode or time the filesystem refused.
    pub metadata_refused: u64,
    pub failures: Vec<Failure>,
}

/// The plan of a restore, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanSummary {
    pub create: FileCount,
    pub replace: FileCount,
    /// Files that are whole already.
    pub skip: FileCount,
    /// Files among `skip` whose mode or time differs; they are set with `--overwrite`.
    pub metadata_differs: u64,
    /// Files among `create` and `replace` that S3 returns only once they are thawed.
    pub archived: FileCount,
    pub conflicts: FileCount,
    pub failures: Vec<Failure>,
}

impl RestoreSummary {
    pub fn add_whole(&mut self, file: &RemoteFile, whole: WholeReason) {
        self.skipped.add_file(file.size);
        self.without_digest += u64::from(whole == WholeReason::SameSizeAndTime);
    }

    pub fn add_failure(&mut self, file: &RemoteFile, reason: String) {
        self.failed.add_file(file.size);
        add_failure(&mut self.failures, file, reason);
    }
}

impl PlanSummary {
    pub fn add(&mut self, file: &RemoteFile, step: &Step) {
        let is_fetched = match step {
            Step::Create => {
                self.create.add_file(file.size);
                true
            }
            Step::Replace => {
                self.replace.add_file(file.size);
                true
            }
            Step::Skip(_, metadata) => {
                self.skip.add_file(file.size);
                self.metadata_differs += u64::from(*metadata != MetadataStep::Same);
                false
            }
            Step::Refuse(conflict) => {
                self.conflicts.add_file(file.size);
                add_failure(&mut self.failures, file, conflict.to_string());
                false
            }
        };
        if is_fetched && file.is_archived() {
            self.archived.add_file(file.size);
        }
    }
}

fn add_failure(failures: &mut Vec<Failure>, file: &RemoteFile, reason: String) {
    if failures.len() < FAILURES_MAX {
        failures.push(Failure { path: file.path.to_string(), reason });
    }
}
