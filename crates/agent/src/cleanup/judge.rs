//! Decides whether a file may be deleted, from its row, from what S3 reports, and from the file on the
//! disk. Pure: the time is a parameter. Any doubt keeps the file, and names itself.

use std::fmt;
use std::time::Duration;

use s3up_core::wire::{Expiry, OldVersions, ProvenObject};
use s3up_core::{Count, Crc64Nvme, Sha256Digest};

use crate::database::CleanupRow;
use crate::files::filesystem::Stamps;
use crate::files::identity::Identity;

/// Time within which a second change of a file may leave the same stamp, on any filesystem.
const RACY: Duration = Duration::from_secs(2);

/// The reason why a file is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDeleted {
    Excluded,
    OtherRemotePath,
    NoVersions(String),
    NotStored,
    OtherContent,
    NoSha256,
    OtherVersion,
    Hot,
    Archived,
    Expires(String),
    ExpiryUnknown(String),
    /// The bucket deletes the file once another upload has replaced it.
    OldVersionsExpire {
        rule: String,
        days: u32,
    },
    OldVersionsUnknown(String),
    ChecksumDiffers,
    Young,
    Changed,
    ContentDiffers,
    NotRegular,
    Gone,
    HardLinked,
    InUse,
    UnprovableFilesystem,
    /// The kernel cannot say whether a process uses it.
    NoLease(String),
    Unreadable(String),
    NotRemoved(String),
    /// It has its temporary name, and could not get its own back.
    Stranded(String),
    /// It was removed, and may be back after a power cut.
    Unsynced(String),
}

/// The next step for a file, by the age of its verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupStep {
    /// It was never verified.
    Verify,
    /// It was verified, and not long enough ago.
    Wait,
    Delete,
}

/// `now` is in Unix seconds. A verification in the future waits: a clock was wrong.
pub fn next_step(verified_at: Option<i64>, after: Duration, now: i64) -> CleanupStep {
    let Some(verified_at) = verified_at else { return CleanupStep::Verify };
    let age = u64::try_from(now.saturating_sub(verified_at)).ok();
    match age.is_some_and(|age| Duration::from_secs(age) >= after) {
        true => CleanupStep::Delete,
        false => CleanupStep::Wait,
    }
}

/// Decides whether S3 has the version of the row and keeps it, also once another upload has replaced
/// it: after `min_old_version_days`, or never. Returns its version id.
pub fn judge_proof(
    row: &CleanupRow,
    versioning: &str,
    stored: Option<&ProvenObject>,
    min_old_version_days: Option<u32>,
) -> Result<String, NotDeleted> {
    if versioning != "enabled" {
        return Err(NotDeleted::NoVersions(versioning.to_owned()));
    }
    let Some(stored) = stored else { return Err(NotDeleted::NotStored) };
    let Some(sha256) = stored.sha256 else { return Err(NotDeleted::NoSha256) };
    if stored.size != row.identity.size || sha256 != row.sha256 {
        return Err(NotDeleted::OtherContent);
    }
    let Some(version_id) = &stored.version_id else {
        return Err(NotDeleted::NoVersions("enabled, but this file has no version".to_owned()));
    };
    if stored.is_hot {
        return Err(NotDeleted::Hot);
    }
    if stored.is_archived {
        return Err(NotDeleted::Archived);
    }
    let reason = || stored.expiry_reason.clone().unwrap_or_default();
    match stored.expiry {
        Expiry::Never => {}
        Expiry::ByRule => return Err(NotDeleted::Expires(reason())),
        Expiry::Unknown => return Err(NotDeleted::ExpiryUnknown(reason())),
    }
    judge_old_versions(stored, min_old_version_days)?;
    // Before its verification a row may lack the version, or name one with other metadata.
    match (row.verified_at, &row.version_id) {
        (Some(_), Some(recorded)) if recorded == version_id => Ok(version_id.clone()),
        (Some(_), _) => Err(NotDeleted::OtherVersion),
        (None, _) => Ok(version_id.clone()),
    }
}

/// Decides whether S3 keeps the version after it was replaced: by an application that writes the file
/// again, or by a stolen key. On the host there is no copy any more.
fn judge_old_versions(stored: &ProvenObject, min_days: Option<u32>) -> Result<(), NotDeleted> {
    let reason = || stored.old_versions_reason.clone();
    match (stored.old_versions, stored.old_version_days) {
        (OldVersions::Kept, _) => Ok(()),
        (OldVersions::DeletedByRule, Some(days)) if min_days.is_some_and(|min| days >= min) => {
            Ok(())
        }
        (OldVersions::DeletedByRule, days) => Err(NotDeleted::OldVersionsExpire {
            rule: reason().unwrap_or_else(|| "a lifecycle rule".to_owned()),
            days: days.unwrap_or(0),
        }),
        (OldVersions::Unknown, _) => Err(NotDeleted::OldVersionsUnknown(
            reason().unwrap_or_else(|| "the gateway does not say so; update it".to_owned()),
        )),
    }
}

/// A file as it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedFile {
    pub identity: Identity,
    pub links: u64,
    pub stamps: Stamps,
}

/// Decides whether the file on the disk is the one of the row, and has rested. `now_ns` is the time of
/// the wall clock.
pub fn judge_file(
    row: &Identity,
    file: &OpenedFile,
    min_age: Duration,
    now_ns: i64,
) -> Result<(), NotDeleted> {
    if file.stamps == Stamps::Unreliable {
        return Err(NotDeleted::UnprovableFilesystem);
    }
    // The number of the device may change with a reboot; a watch is one filesystem.
    if (Identity { device: row.device, ..file.identity }) != *row {
        return Err(NotDeleted::Changed);
    }
    if file.links != 1 {
        return Err(NotDeleted::HardLinked);
    }
    let rested = u64::try_from(now_ns.saturating_sub(file.identity.changed_at_ns()));
    match rested {
        Ok(ns) if Duration::from_nanos(ns) >= min_age.max(RACY) => Ok(()),
        Ok(_) | Err(_) => Err(NotDeleted::Young),
    }
}

/// Decides whether the content on the disk is that of the row and of S3.
pub fn judge_content(
    row: Sha256Digest,
    stored_crc: Option<&str>,
    found: (Sha256Digest, Crc64Nvme),
) -> Result<(), NotDeleted> {
    if found.0 != row {
        return Err(NotDeleted::ContentDiffers);
    }
    match stored_crc {
        Some(crc) if crc != found.1.to_string() => Err(NotDeleted::ChecksumDiffers),
        Some(_) | None => Ok(()),
    }
}

impl NotDeleted {
    /// Returns true if S3 does not have what it acknowledged, or the disk does not have what was uploaded, so
    /// that the operator should examine it.
    pub fn is_alarm(&self) -> bool {
        match self {
            NotDeleted::NotStored
            | NotDeleted::OtherContent
            | NotDeleted::NoSha256
            | NotDeleted::OtherVersion
            | NotDeleted::ChecksumDiffers
            | NotDeleted::ContentDiffers
            | NotDeleted::Stranded(_)
            | NotDeleted::Unsynced(_) => true,
            NotDeleted::Excluded
            | NotDeleted::OtherRemotePath
            | NotDeleted::NoVersions(_)
            | NotDeleted::Hot
            | NotDeleted::Archived
            | NotDeleted::Expires(_)
            | NotDeleted::ExpiryUnknown(_)
            | NotDeleted::OldVersionsExpire { .. }
            | NotDeleted::OldVersionsUnknown(_)
            | NotDeleted::Young
            | NotDeleted::Changed
            | NotDeleted::NotRegular
            | NotDeleted::Gone
            | NotDeleted::HardLinked
            | NotDeleted::InUse
            | NotDeleted::UnprovableFilesystem
            | NotDeleted::NoLease(_)
            | NotDeleted::Unreadable(_)
            | NotDeleted::NotRemoved(_) => false,
        }
    }
}

impl fmt::Display for NotDeleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            NotDeleted::Excluded => {
                "excluded, from the watch (exclude, recursive) or from cleanups (cleanup.exclude)"
            }
            NotDeleted::OtherRemotePath => "its remote path changed; it is uploaded again first",
            NotDeleted::NoVersions(found) => {
                return write!(
                    f,
                    "the bucket has to keep versions: expected versioning enabled, found {found}"
                );
            }
            NotDeleted::NotStored => "the gateway does not have it",
            NotDeleted::OtherContent => "S3 has other content under its path",
            NotDeleted::NoSha256 => "the object in S3 carries no SHA-256",
            NotDeleted::OtherVersion => "S3 has another version than the one that was verified",
            NotDeleted::Hot => "S3 has a copy that was made while it was being written",
            NotDeleted::Archived => "archived in S3, so it could not be read back at once",
            NotDeleted::Expires(rule) => {
                return write!(f, "the bucket deletes it by a rule: {rule}");
            }
            NotDeleted::ExpiryUnknown(reason) => {
                return write!(f, "it is not known whether the bucket deletes it: {reason}");
            }
            NotDeleted::OldVersionsExpire { rule, days } => {
                return write!(
                    f,
                    "the bucket deletes it {} after another upload has replaced it: {rule}; limit the \
                     rule to other prefixes, or set cleanup.min_old_version_days",
                    Count(u64::from(*days), "day")
                );
            }
            NotDeleted::OldVersionsUnknown(reason) => {
                return write!(
                    f,
                    "it is not known whether the bucket keeps it after another upload: {reason}"
                );
            }
            NotDeleted::ChecksumDiffers => {
                "S3 reports another checksum than that of the local file"
            }
            NotDeleted::Young => "changed too recently (cleanup.min_age_days)",
            NotDeleted::Changed => "changed since it was uploaded",
            NotDeleted::ContentDiffers => {
                "its content is not the one that was uploaded, and its times do not show it"
            }
            NotDeleted::NotRegular => "replaced by something that is not a regular file",
            NotDeleted::Gone => "it does not exist any more",
            NotDeleted::HardLinked => "it has another hard link, so deleting it would free nothing",
            NotDeleted::InUse => "a process has it open or mapped",
            NotDeleted::UnprovableFilesystem => {
                "its filesystem does not show every change of its content"
            }
            NotDeleted::NoLease(error) => {
                return write!(
                    f,
                    "the kernel cannot tell whether a process uses it: {error}; give the agent \
                     CAP_LEASE (docs/systemd.md)"
                );
            }
            NotDeleted::Stranded(error) => return write!(f, "not removed: {error}"),
            NotDeleted::Unsynced(error) => {
                return write!(
                    f,
                    "removed, but its directory cannot be written to the disk: {error}; the next run \
                     finds out whether it is gone"
                );
            }
            NotDeleted::Unreadable(error) => return write!(f, "cannot read it: {error}"),
            NotDeleted::NotRemoved(error) => {
                return write!(
                    f,
                    "cannot remove it: {error}; the agent needs the right to write its directory \
                     (docs/systemd.md)"
                );
            }
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests;
