//! The result of a run, subvolume by subvolume.

use jiff::Timestamp;
use s3up_cli::Signal;
use s3up_core::error_chain;
use s3up_repository::names::{SnapshotName, SubvolumeName};

use crate::backup::error::Failure;
use crate::status::last_runs::{LastRun, LastRuns, RunStatus};

/// Result of a run.
#[derive(Debug, Default)]
pub struct RunReport {
    pub published: Vec<SnapshotName>,
    pub not_due: Vec<SubvolumeName>,
    pub failed: Vec<(SubvolumeName, Failure)>,
    pub stopped: Option<Signal>,
}

impl RunReport {
    pub(super) fn add(
        &mut self,
        name: SubvolumeName,
        failure: Failure,
        state: &mut LastRuns,
        now: Timestamp,
    ) {
        state.note(&name, failed_run(&failure, now));
        if let Failure::Stopped(stop) | Failure::StoppedPublishing(stop) = failure {
            self.stopped = Some(stop);
        }
        self.failed.push((name, failure));
    }
}

/// Returns the run to remember; a failed backup is due again at once.
fn failed_run(failure: &Failure, now: Timestamp) -> LastRun {
    let stopped = matches!(failure, Failure::Stopped(_) | Failure::StoppedPublishing(_));
    let outcome = if stopped { RunStatus::Stopped } else { RunStatus::Failed };
    LastRun { outcome, ..LastRun::failed(error_chain(failure), now) }
}
