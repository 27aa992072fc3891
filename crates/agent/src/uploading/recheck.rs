//! Checks once more that a file has to be uploaded, now that it is open.

use s3up_core::RemotePath;

use super::outcome::Outcome;
use super::task::UploadTask;
use crate::database::Change;
use crate::files::filesystem::Filesystem;
use crate::files::identity::Identity;
use crate::states::decide::{KnownFile, State, decide};
use crate::states::version::Look;

/// Returns the remote path of a file that has to be uploaded, or how its upload
/// ends otherwise.
pub(super) fn check_still_pending(
    task: &UploadTask,
    identity: Identity,
    filesystem: Filesystem,
    local_path: String,
    known: &KnownFile,
) -> Result<RemotePath, Outcome> {
    let remote_path = task.watch.remote_path(&task.path);
    let look = Look { identity, filesystem, evidence: task.writes.evidence };
    match (decide(&look, &remote_path, known, &task.policy), remote_path) {
        (State::Pending(_), Ok(remote_path)) => Ok(remote_path),
        (State::Baseline { recorded: false }, _) => {
            Err(Outcome::Skipped(Some(Change::Baseline { local_path, identity }.into())))
        }
        // The row is right, so the recorded problem is over.
        (State::Protected, _) if known.problem.is_some() => {
            Err(Outcome::Skipped(Some(Change::ProblemSolved { local_path }.into())))
        }
        (State::Pending(_) | State::Protected | State::Baseline { .. } | State::Problem(_), _) => {
            Err(Outcome::Skipped(None))
        }
    }
}
