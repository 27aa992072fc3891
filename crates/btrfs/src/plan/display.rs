//! The texts of a plan: what is done, why, and on which parent.

use std::fmt;

use s3up_repository::stamp::seconds;

use super::decide::{BackupStep, FullReason, IncrementalReason};

/// A number of days as text.
struct Days(u32);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 day"),
            days => write!(f, "{days} days"),
        }
    }
}

impl fmt::Display for BackupStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupStep::Full(reason) => write!(f, "full: {reason}"),
            BackupStep::Incremental { parent, reason, .. } => {
                write!(f, "incremental on {parent}: {reason}")
            }
        }
    }
}

impl fmt::Display for FullReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FullReason::FirstBackup => f.write_str("no backup has been published yet"),
            FullReason::Requested => f.write_str("requested with --full"),
            FullReason::Interrupted => f.write_str("an earlier run was interrupted"),
            FullReason::Adopted => f.write_str("this host takes over the prefix (--adopt)"),
            FullReason::ManifestMissing { key } => {
                write!(f, "the published manifest {key} is not in the bucket")
            }
            FullReason::Due { full_at, since, days } => {
                let (full_at, since) = (seconds(*full_at), seconds(*since));
                write!(f, "due since {since}, {} after the last full ({full_at})", Days(*days))
            }
            FullReason::ClockWentBack { full_at } => {
                let full_at = seconds(*full_at);
                write!(
                    f,
                    "the last full is dated {full_at}, which is in the future: a clock was wrong"
                )
            }
            FullReason::ChainBroken { reason } => {
                write!(f, "the published chain is broken: {reason}")
            }
            FullReason::ParentUnknown { name } => {
                write!(
                    f,
                    "the last backup was made from the snapshot {name:?}, which is not named by \
                     btrfs-to-s3"
                )
            }
            FullReason::ParentMissing { parent } => {
                write!(f, "the parent snapshot {parent} is missing")
            }
            FullReason::ParentWritable { parent } => {
                write!(f, "the parent snapshot {parent} is writable and may have changed")
            }
            FullReason::ParentUnreadable { parent, reason } => {
                write!(f, "the parent snapshot {parent} cannot be sent: {reason}")
            }
            FullReason::ParentUnproven { parent } => {
                write!(
                    f,
                    "the manifest does not identify the snapshot {parent} (no UUID or ctransid)"
                )
            }
            FullReason::ParentChanged { parent, expected, found } => {
                write!(
                    f,
                    "the parent snapshot {parent} has changed since it was sent: expected \
                     {expected}, found {found}"
                )
            }
            FullReason::ParentTouched { parent } => {
                write!(f, "the parent snapshot {parent} has changed since a restore received it")
            }
        }
    }
}

impl fmt::Display for IncrementalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IncrementalReason::Requested => f.write_str("requested with --once"),
            IncrementalReason::Interrupted => f.write_str("an earlier run was interrupted"),
            IncrementalReason::AfterInterrupted => {
                f.write_str("the changes since the interrupted backup")
            }
            IncrementalReason::Due { last_at, since, days } => {
                let (last_at, since) = (seconds(*last_at), seconds(*since));
                write!(f, "due since {since}, {} after the last backup ({last_at})", Days(*days))
            }
            IncrementalReason::ClockWentBack { last_at } => {
                let last_at = seconds(*last_at);
                write!(
                    f,
                    "the last backup is dated {last_at}, which is in the future: a clock was wrong"
                )
            }
        }
    }
}
