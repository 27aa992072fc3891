//! Checks once more that a file has to be uploaded, now that it is open.

use s3up_core::RemotePath;

use super::outcome::{Outcome, SkippedAs};
use super::task::UploadTask;
use crate::database::Change;
use crate::files::filesystem::Filesystem;
use crate::files::identity::Identity;
use crate::states::decide::{FileProblem, KnownFile, PendingReason, State, decide};
use crate::states::version::ObservedFile;

/// Returns the remote path of a file that has to be uploaded and the reason, or how its upload
/// ends otherwise.
pub(super) fn check_still_pending(
    task: &UploadTask,
    identity: Identity,
    filesystem: Filesystem,
    local_path: String,
    known: &KnownFile,
) -> Result<(RemotePath, PendingReason), Outcome> {
    let remote_path = task.watch.remote_path(&task.path);
    let skipped = |as_state, change: Option<Change>| {
        Err(Outcome::Skipped { as_state, change: change.map(Box::new) })
    };
    let observed = ObservedFile { identity, filesystem, evidence: task.writes.evidence };
    match (decide(&observed, &remote_path, known, &task.policy), remote_path) {
        (State::Pending(PendingReason::HistoryUnknown), _) => {
            let reason = PendingReason::HistoryUnknown.to_string();
            Err(Outcome::NotObserved { reason })
        }
        (State::Pending(reason), Ok(remote_path)) => Ok((remote_path, reason)),
        (State::Pending(_), Err(rule)) => {
            skipped(SkippedAs::Problem(FileProblem::InvalidPath(rule).to_string()), None)
        }
        (State::Baseline { recorded }, _) => {
            let change = (!recorded).then_some(Change::Baseline { local_path, identity });
            skipped(SkippedAs::Baseline, change)
        }
        // The row is right, so the recorded problem is over.
        (State::Protected, _) => {
            let solved = known.problem.is_some().then_some(Change::ProblemSolved { local_path });
            skipped(SkippedAs::Protected, solved)
        }
        (State::Problem(problem), _) => skipped(SkippedAs::Problem(problem.to_string()), None),
    }
}
