//! Decides what to do with each subvolume. The decisions are pure functions of the observed state.
//!
//! [`observed`] is what they are made from, [`decide`] finds what is due,
//! [`resume`] what of an interrupted backup can be used.

pub mod decide;
mod display;
pub mod observed;
pub mod resume;
pub mod schedule;
pub mod unplanned;

use jiff::Timestamp;
use s3up_repository::names::{SnapshotName, SubvolumeName};

use crate::plan::decide::{BackupStep, Decision, FullReason};
use crate::plan::resume::Resumption;
use crate::plan::schedule::NextDue;
use crate::plan::unplanned::Unplanned;

/// The plan for one subvolume. `plan` prints exactly the value that `backup` carries
/// out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub subvolume: SubvolumeName,
    pub decision: Decision,
    /// Creation time of the newest published backup.
    pub last_at: Option<Timestamp>,
    /// Time at which the next backup is due, provided that this plan is carried out.
    pub next_due: NextDue,
    /// Snapshot to make or to resume, if a backup is due.
    pub snapshot: Option<SnapshotName>,
    /// The part of the backup that exists already.
    pub resumption: Resumption,
    /// Snapshot of the incremental that follows an interrupted backup, so that the run
    /// ends with a backup of the subvolume as it is now.
    pub follow_up: Option<SnapshotName>,
    /// An interrupted backup that waits until a backup is due.
    pub waiting: Option<SnapshotName>,
    /// Set if a full is made that the schedule did not ask for.
    pub unplanned: Option<Unplanned>,
}

impl Plan {
    /// Returns the decision as one word, for JSON and tables.
    pub fn as_str(&self) -> &'static str {
        match &self.decision {
            Decision::Due(BackupStep::Full(_)) => "full",
            Decision::Due(BackupStep::Incremental { .. }) => "incremental",
            Decision::NotDue => "not_due",
        }
    }

    pub fn reason(&self) -> String {
        let reason = match &self.decision {
            Decision::Due(BackupStep::Full(reason)) => reason.to_string(),
            Decision::Due(BackupStep::Incremental { reason, .. }) => reason.to_string(),
            Decision::NotDue => "not due yet".to_owned(),
        };
        match &self.resumption {
            Resumption::Fresh => reason,
            resumption @ (Resumption::Resume { .. } | Resumption::PublishOnly { .. }) => {
                format!("{resumption}: {reason}")
            }
        }
    }

    /// Returns the parent of an incremental.
    pub fn parent(&self) -> Option<&SnapshotName> {
        match &self.decision {
            Decision::Due(BackupStep::Incremental { parent, .. }) => Some(parent),
            Decision::Due(BackupStep::Full(_)) | Decision::NotDue => None,
        }
    }

    /// Returns the name of the event that reports the decision.
    pub fn event(&self) -> &'static str {
        match &self.decision {
            Decision::NotDue => "backup_not_due",
            Decision::Due(BackupStep::Full(FullReason::ParentMissing { .. })) => {
                "backup_parent_missing"
            }
            Decision::Due(BackupStep::Full(FullReason::ManifestMissing { .. })) => {
                "backup_parent_manifest_missing"
            }
            Decision::Due(_) => "backup_planned",
        }
    }
}
