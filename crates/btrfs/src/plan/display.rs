//! A plan in words: what, why, on which parent.

use std::fmt;

use s3up_repository::stamp::seconds;

use super::decide::{Step, Why, WhyNow};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Full(why) => write!(f, "full: {why}"),
            Step::Incremental { parent, why, .. } => {
                write!(f, "incremental on {parent}: {why}")
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::FirstBackup => f.write_str("nothing is published yet"),
            Why::Asked => f.write_str("it was asked for"),
            Why::Interrupted => f.write_str("an earlier run has begun it"),
            Why::ManifestMissing { key } => {
                write!(f, "the published manifest {key} is missing in the bucket")
            }
            Why::Due { full_at, since } => {
                let (full_at, since) = (seconds(*full_at), seconds(*since));
                write!(f, "`full_every_days` since the full of {full_at} were over at {since}")
            }
            Why::ClockWentBack { full_at } => {
                let full_at = seconds(*full_at);
                write!(f, "the full is of {full_at}, which is still to come: a clock was wrong")
            }
            Why::ChainBroken { reason } => write!(f, "the published chain is broken: {reason}"),
            Why::ParentUnknown { name } => {
                write!(f, "the published backup is of the snapshot {name:?}, which is none of ours")
            }
            Why::ParentMissing { parent } => write!(f, "the parent snapshot {parent} is missing"),
            Why::ParentWritable { parent } => {
                write!(f, "the parent snapshot {parent} was made writable")
            }
            Why::ParentUnreadable { parent, reason } => {
                write!(f, "the parent snapshot {parent} cannot be sent: {reason}")
            }
            Why::ParentUnproven { parent } => {
                write!(f, "the manifest does not say which state of {parent} was sent")
            }
            Why::ParentChanged { parent, expected, found } => {
                write!(
                    f,
                    "the parent snapshot {parent} was changed: sent was {expected}, it is {found}"
                )
            }
            Why::ParentTouched { parent } => {
                write!(f, "the parent snapshot {parent} was changed since a restore kept it")
            }
        }
    }
}

impl fmt::Display for WhyNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyNow::Asked => f.write_str("it was asked for"),
            WhyNow::Interrupted => f.write_str("an earlier run has begun it"),
            WhyNow::Due { last_at, since } => {
                let (last_at, since) = (seconds(*last_at), seconds(*since));
                write!(f, "`incremental_every_days` since {last_at} were over at {since}")
            }
            WhyNow::ClockWentBack { last_at } => {
                let last_at = seconds(*last_at);
                write!(
                    f,
                    "the last backup is of {last_at}, which is still to come: a clock was wrong"
                )
            }
        }
    }
}
