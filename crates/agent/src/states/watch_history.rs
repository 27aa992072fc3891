//! Decides whether a watch without a complete scan is new, or its database was lost.
//!
//! A lost database must not look like a first start: all files would become baseline, and changes
//! since the loss would never be sent. Two things tell them apart: a marker file beside the
//! database, and the files that the gateway has below the prefix of the watch. An unreachable
//! gateway proves nothing, so the decision waits. A gateway that may not be asked proves nothing
//! either, and then no baseline is made: to upload a file too many loses nothing.
//!
//! Pure: no file, no network.

/// The past of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchHistory {
    /// No agent uploaded files of this watch before.
    FirstStart,
    /// The gateway has, or may have, files of this watch that the database does not know.
    KnownClient,
}

/// The files of a watch at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredFiles {
    /// Each of them has a row in the database.
    NoneUnknown,
    /// The gateway has this remote path, which the database does not know.
    Unknown(String),
    /// The key may not ask, or the gateway keeps failing to answer this question.
    CannotAsk(String),
}

/// Reason for taking a database as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossEvidence {
    /// The marker file is there, and the database is not.
    Marker,
    Stored(StoredFiles),
}

pub fn decide_watch_history(evidence: &LossEvidence) -> WatchHistory {
    match evidence {
        LossEvidence::Stored(StoredFiles::NoneUnknown) => WatchHistory::FirstStart,
        LossEvidence::Marker
        | LossEvidence::Stored(StoredFiles::Unknown(_) | StoredFiles::CannotAsk(_)) => {
            WatchHistory::KnownClient
        }
    }
}

impl WatchHistory {
    pub fn as_str(self) -> &'static str {
        match self {
            WatchHistory::FirstStart => "first_start",
            WatchHistory::KnownClient => "known_client",
        }
    }

    pub fn parse(text: &str) -> Option<WatchHistory> {
        [WatchHistory::FirstStart, WatchHistory::KnownClient]
            .into_iter()
            .find(|it| it.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateway_without_unknown_files_proves_a_first_start() {
        use StoredFiles::{CannotAsk, NoneUnknown, Unknown};
        let text = || "x".to_owned();
        #[rustfmt::skip]
        let cases = [
            ("the marker is older than the database", LossEvidence::Marker,               WatchHistory::KnownClient),
            ("the gateway has nothing else",          LossEvidence::Stored(NoneUnknown),  WatchHistory::FirstStart),
            ("the gateway has more",                  LossEvidence::Stored(Unknown(text())),   WatchHistory::KnownClient),
            ("the key may not ask",                   LossEvidence::Stored(CannotAsk(text())), WatchHistory::KnownClient),
        ];
        for (situation, evidence, want) in cases {
            assert_eq!(decide_watch_history(&evidence), want, "{situation}");
            assert_eq!(WatchHistory::parse(want.as_str()), Some(want));
        }
    }
}
