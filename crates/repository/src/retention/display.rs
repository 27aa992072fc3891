//! The texts of the decisions about generations.

use std::fmt;

use super::decision::{Blocked, PruneDecision};
use crate::catalogue::Unrestorable;
use crate::stamp::seconds;

impl fmt::Display for PruneDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PruneDecision::Current => f.write_str("published generation"),
            PruneDecision::Newer => f.write_str("newer than the published generation"),
            PruneDecision::OtherOrigin { host } => write!(
                f,
                "made by host {host}, another origin; `prune --adopt` applies retention to it"
            ),
            PruneDecision::Retained => f.write_str("one of the generations that retention keeps"),
            PruneDecision::WaitsForIncremental => {
                f.write_str("the newer full has no published incremental yet")
            }
            PruneDecision::WaitsForWindow { until } => {
                write!(f, "the restore window needs it until {}", seconds(*until))
            }
            PruneDecision::WaitsForAge { until } => {
                write!(f, "S3 charges for it until {} even if deleted", seconds(*until))
            }
            PruneDecision::Needed { by } => write!(f, "needed by {by}"),
            PruneDecision::Blocked => f.write_str("nothing is deleted for the reason below"),
            PruneDecision::Delete => f.write_str("replaced by a newer generation"),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocked::NothingPublished => f.write_str("no backup has been published"),
            Blocked::Published(reason @ Unrestorable::Broken(_)) => {
                write!(f, "the published backup is broken: {reason}")
            }
            Blocked::Published(reason @ Unrestorable::Archived(_)) => {
                write!(f, "the published backup is unknown: {reason}")
            }
            Blocked::Unread(reason @ Unrestorable::Broken(_)) => write!(
                f,
                "a manifest cannot be read, so the objects that it needs are unknown: {reason}; restore \
                 an older version of it if the bucket keeps versions, and do not move it away, \
                 because its chunks would count as orphans"
            ),
            Blocked::Unread(reason @ Unrestorable::Archived(_)) => {
                write!(f, "the objects that a manifest needs are unknown: {reason}")
            }
            Blocked::AuditFailed(finding) => {
                write!(f, "the published chain is incomplete: {finding}")
            }
        }
    }
}
