//! Decides for a watch whether files that existed before the agent are uploaded.

use crate::states::decide::UploadExisting;

/// First and last scans of a watch, as the database records them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchState {
    /// Files changed before this moment existed before the agent.
    pub known_since_ns: i64,
    pub first_scan_at: Option<i64>,
    pub last_scan_at: Option<i64>,
    /// Filesystem of the root at the last complete scan.
    pub filesystem: Option<String>,
}

/// Returns the rule for files without a row in the database. `configured` is
/// `scan.upload_existing`.
pub fn upload_existing(configured: bool, state: Option<&WatchState>) -> UploadExisting {
    match state {
        _ if configured => UploadExisting::Yes,
        None => UploadExisting::NotBefore { wall_ns: i64::MAX },
        Some(WatchState { first_scan_at: Some(_), .. }) => UploadExisting::BaselineIsComplete,
        Some(state) => UploadExisting::NotBefore { wall_ns: state.known_since_ns },
    }
}
