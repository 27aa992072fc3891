//! Decides for a watch whether files that existed before its database are uploaded.
//!
//! With `scan.upload_existing: false` they are baseline, but only at a first start. After a loss
//! of the database nothing is known to have been baseline, so all of them are offered to the
//! gateway, which says which ones it has ([`super::watch_history`]).

use crate::states::decide::UploadExisting;
use crate::states::watch_history::WatchHistory;

/// First and last scans of a watch, as the database records them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchState {
    /// Files changed before this moment existed before the database.
    pub known_since_ns: i64,
    /// `None` until it is decided, and in a row of an older agent.
    pub history: Option<WatchHistory>,
    pub first_scan_at: Option<i64>,
    pub last_scan_at: Option<i64>,
    /// Filesystem of the root at the last complete scan.
    pub filesystem: Option<String>,
}

/// Returns the rule for files without a row in the database. `configured` is
/// `scan.upload_existing`.
pub fn upload_existing(configured: bool, state: Option<&WatchState>) -> UploadExisting {
    let Some(state) = state else {
        return if configured {
            UploadExisting::Yes
        } else {
            UploadExisting::Undecided { wall_ns: i64::MAX }
        };
    };
    match (configured, state.history, state.first_scan_at) {
        (true, _, _) => UploadExisting::Yes,
        (false, _, Some(_)) | (false, Some(WatchHistory::KnownClient), None) => {
            UploadExisting::BaselineIsComplete
        }
        (false, Some(WatchHistory::FirstStart), None) => {
            UploadExisting::NotBefore { wall_ns: state.known_since_ns }
        }
        (false, None, None) => UploadExisting::Undecided { wall_ns: state.known_since_ns },
    }
}

/// Returns the time before which a file without a row may be stored already, so that the gateway
/// is asked before the file is sent. `None` if the database has a row for each stored file.
pub fn confirm_before_ns(state: Option<&WatchState>) -> Option<i64> {
    let state = state?;
    match (state.history, state.first_scan_at) {
        (Some(WatchHistory::KnownClient), _) | (None, None) => Some(state.known_since_ns),
        (Some(WatchHistory::FirstStart), _) | (None, Some(_)) => None,
    }
}

/// Returns true if the gateway has to be asked whether the database of this watch was lost.
pub fn has_no_history(state: &WatchState) -> bool {
    state.history.is_none() && state.first_scan_at.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use UploadExisting::{BaselineIsComplete, NotBefore, Undecided, Yes};
    use WatchHistory::{FirstStart, KnownClient};

    #[test]
    fn only_a_first_start_makes_a_baseline() {
        let (now, never) = (NotBefore { wall_ns: 7 }, Undecided { wall_ns: 7 });
        #[rustfmt::skip]
        let cases = [
            // situation                      history             scanned    false               true  asked before
            ("not known yet",                 None,              None,      never,              Yes,  Some(7)),
            ("a first start",                 Some(FirstStart),  None,      now,                Yes,  None),
            ("its first scan is complete",    Some(FirstStart),  Some(9),   BaselineIsComplete, Yes,  None),
            ("the database was lost",         Some(KnownClient), None,      BaselineIsComplete, Yes,  Some(7)),
            ("and scanned since",             Some(KnownClient), Some(9),   BaselineIsComplete, Yes,  Some(7)),
            ("a database of an older agent",  None,              Some(9),   BaselineIsComplete, Yes,  None),
        ];
        for (situation, history, first_scan_at, without, with, before) in cases {
            let state = WatchState {
                known_since_ns: 7,
                history,
                first_scan_at,
                last_scan_at: None,
                filesystem: None,
            };
            assert_eq!(upload_existing(false, Some(&state)), without, "{situation}");
            assert_eq!(upload_existing(true, Some(&state)), with, "{situation}");
            assert_eq!(confirm_before_ns(Some(&state)), before, "{situation}");
        }
        assert_eq!(upload_existing(false, None), Undecided { wall_ns: i64::MAX });
    }
}
