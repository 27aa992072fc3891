//! A full that the schedule did not ask for, the most expensive thing that a run can do.
//! Gives the reason and its usual causes. Pure.

use std::fmt;

use s3up_core::Size;
use s3up_repository::published::Published;

use super::decide::{BackupStep, Decision, FullReason};

/// The reason for a full that the schedule did not ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplanned {
    pub reason: String,
    pub causes: &'static str,
    /// Length of the last full, which the new one is expected to have.
    pub last_full_bytes: Option<u64>,
}

impl Unplanned {
    /// Returns the reason if the decision is a full that was not planned.
    pub fn of(decision: &Decision, published: &Published) -> Option<Unplanned> {
        let Decision::Due(BackupStep::Full(reason)) = decision else { return None };
        let causes = causes(reason)?;
        let last_full = published.chain().map(|chain| chain.full().manifest.total_bytes);
        Some(Unplanned { reason: reason.to_string(), causes, last_full_bytes: last_full })
    }
}

impl fmt::Display for Unplanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unplanned { reason, causes, last_full_bytes } = self;
        write!(f, "a full is needed that is not due: {reason}; ")?;
        match last_full_bytes {
            Some(bytes) => write!(f, "the last full was {}; ", Size(*bytes))?,
            None => f.write_str("its size is unknown, because the last full cannot be read; ")?,
        }
        write!(f, "likely causes: {causes}")
    }
}

/// Returns the likely causes; `None` for a full that was planned.
fn causes(reason: &FullReason) -> Option<&'static str> {
    match reason {
        FullReason::FirstBackup
        | FullReason::Requested
        | FullReason::Interrupted
        | FullReason::Adopted
        | FullReason::Due { .. } => None,
        FullReason::ManifestMissing { .. } | FullReason::ChainBroken { .. } => Some(
            "an object was deleted in the bucket, by hand or by a lifecycle rule; `verify` names \
             all that is missing",
        ),
        FullReason::ClockWentBack { .. } => {
            Some("the clock of this host was ahead when the last full was made, or is behind now")
        }
        FullReason::ParentUnknown { .. } | FullReason::ParentUnproven { .. } => {
            Some("the last backup was made by another tool")
        }
        FullReason::ParentMissing { .. } => Some(
            "the snapshot was deleted by hand or by another tool; `snapshots.base_dir` was moved, \
             is not mounted, or was rolled back; another host, or a clone of this one, backs up \
             below the same prefix",
        ),
        FullReason::ParentWritable { .. } => {
            Some("the snapshot was made writable with `btrfs property set … ro false`")
        }
        FullReason::ParentUnreadable { .. } => Some(
            "`btrfs` failed several times: too little memory, or errors of the disk (see the \
             kernel log)",
        ),
        FullReason::ParentChanged { .. } | FullReason::ParentTouched { .. } => Some(
            "a deduplication tool (duperemove, bees) wrote into the read-only snapshot; the \
             snapshot was made writable for a while; another snapshot has its name",
        ),
    }
}

#[cfg(test)]
mod tests {
    use s3up_repository::chain::{Next, PartialChain};
    use s3up_repository::names::SnapshotName;
    use s3up_repository::testing::entry;

    use super::*;

    #[test]
    fn only_a_full_that_was_not_asked_for_is_unplanned() {
        let parent = || SnapshotName::parse("data__20010909T014640Z__full").unwrap();
        let chain = match PartialChain::default().with(entry(0, None)).unwrap() {
            (_, Next::Whole(chain)) => Published::Chain(chain),
            (_, Next::Parent(key)) => panic!("{key}"),
        };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let reason = || "gone".to_owned();
        #[rustfmt::skip]
        let cases = [
            (FullReason::FirstBackup,                                       ""),
            (FullReason::Requested,                                         ""),
            (FullReason::Interrupted,                                       ""),
            (FullReason::Adopted,                                           ""),
            (FullReason::Due { full_at: at, since: at, days: 1 },           ""),
            (FullReason::ParentMissing { parent: parent() },                "was deleted by hand"),
            (FullReason::ParentWritable { parent: parent() },               "was made writable"),
            (FullReason::ParentUnreadable { parent: parent(), reason: reason() }, "too little memory"),
            (FullReason::ParentTouched { parent: parent() },                "deduplication"),
            (FullReason::ParentUnproven { parent: parent() },               "another tool"),
            (FullReason::ClockWentBack { full_at: at },                     "the clock"),
            (FullReason::ChainBroken { reason: reason() },                  "a lifecycle rule"),
            (FullReason::ManifestMissing { key: reason() },                 "a lifecycle rule"),
        ];
        for (reason, cause) in cases {
            let decision = Decision::Due(BackupStep::Full(reason.clone()));
            let found = Unplanned::of(&decision, &chain);
            assert_eq!(found.is_some(), !cause.is_empty(), "{reason:?}");
            if let Some(found) = found {
                let text = found.to_string();
                assert!(text.contains(cause) && text.contains("the last full was 10 B"), "{text}");
            }
        }
        assert_eq!(Unplanned::of(&Decision::NotDue, &chain), None);
    }
}
