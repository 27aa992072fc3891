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

/// The reason for which a file is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
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
pub enum Due {
    /// It was never verified.
    Verify,
    /// It was verified, and not long enough ago.
    Wait,
    Delete,
}

/// `now` is in Unix seconds. A verification in the future waits: a clock was wrong.
pub fn due(verified_at: Option<i64>, after: Duration, now: i64) -> Due {
    let Some(verified_at) = verified_at else { return Due::Verify };
    let age = u64::try_from(now.saturating_sub(verified_at)).ok();
    match age.is_some_and(|age| Duration::from_secs(age) >= after) {
        true => Due::Delete,
        false => Due::Wait,
    }
}

/// Decides whether S3 has the version of the row and keeps it, also once another upload has replaced
/// it: after `min_old_version_days`, or never. Returns its version id.
pub fn judge_proof(
    row: &CleanupRow,
    versioning: &str,
    stored: Option<&ProvenObject>,
    min_old_version_days: Option<u32>,
) -> Result<String, Keep> {
    if versioning != "enabled" {
        return Err(Keep::NoVersions(versioning.to_owned()));
    }
    let Some(stored) = stored else { return Err(Keep::NotStored) };
    let Some(sha256) = stored.sha256 else { return Err(Keep::NoSha256) };
    if stored.size != row.identity.size || sha256 != row.sha256 {
        return Err(Keep::OtherContent);
    }
    let Some(version_id) = &stored.version_id else {
        return Err(Keep::NoVersions("enabled, but this file has no version".to_owned()));
    };
    if stored.is_hot {
        return Err(Keep::Hot);
    }
    if stored.is_archived {
        return Err(Keep::Archived);
    }
    let reason = || stored.expiry_reason.clone().unwrap_or_default();
    match stored.expiry {
        Expiry::Never => {}
        Expiry::ByRule => return Err(Keep::Expires(reason())),
        Expiry::Unknown => return Err(Keep::ExpiryUnknown(reason())),
    }
    judge_old_versions(stored, min_old_version_days)?;
    // Before its verification a row may lack the version, or name one with other metadata.
    match (row.verified_at, &row.version_id) {
        (Some(_), Some(recorded)) if recorded == version_id => Ok(version_id.clone()),
        (Some(_), _) => Err(Keep::OtherVersion),
        (None, _) => Ok(version_id.clone()),
    }
}

/// Decides whether S3 keeps the version after it was replaced: by an application that writes the file
/// again, or by a stolen key. On the host there is no copy any more.
fn judge_old_versions(stored: &ProvenObject, min_days: Option<u32>) -> Result<(), Keep> {
    let reason = || stored.old_versions_reason.clone();
    match (stored.old_versions, stored.old_version_days) {
        (OldVersions::Kept, _) => Ok(()),
        (OldVersions::DeletedByRule, Some(days)) if min_days.is_some_and(|min| days >= min) => {
            Ok(())
        }
        (OldVersions::DeletedByRule, days) => Err(Keep::OldVersionsExpire {
            rule: reason().unwrap_or_else(|| "a lifecycle rule".to_owned()),
            days: days.unwrap_or(0),
        }),
        (OldVersions::Unknown, _) => Err(Keep::OldVersionsUnknown(
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
) -> Result<(), Keep> {
    if file.stamps == Stamps::Unreliable {
        return Err(Keep::UnprovableFilesystem);
    }
    // The number of the device may change with a reboot; a watch is one filesystem.
    if (Identity { device: row.device, ..file.identity }) != *row {
        return Err(Keep::Changed);
    }
    if file.links != 1 {
        return Err(Keep::HardLinked);
    }
    let rested = u64::try_from(now_ns.saturating_sub(file.identity.changed_at_ns()));
    match rested {
        Ok(ns) if Duration::from_nanos(ns) >= min_age.max(RACY) => Ok(()),
        Ok(_) | Err(_) => Err(Keep::Young),
    }
}

/// Decides whether the content on the disk is that of the row and of S3.
pub fn judge_content(
    row: Sha256Digest,
    stored_crc: Option<&str>,
    found: (Sha256Digest, Crc64Nvme),
) -> Result<(), Keep> {
    if found.0 != row {
        return Err(Keep::ContentDiffers);
    }
    match stored_crc {
        Some(crc) if crc != found.1.to_string() => Err(Keep::ChecksumDiffers),
        Some(_) | None => Ok(()),
    }
}

impl Keep {
    /// True if S3 does not have what it acknowledged, or the disk does not have what was uploaded, so
    /// that the operator should examine it.
    pub fn is_alarm(&self) -> bool {
        match self {
            Keep::NotStored
            | Keep::OtherContent
            | Keep::NoSha256
            | Keep::OtherVersion
            | Keep::ChecksumDiffers
            | Keep::ContentDiffers
            | Keep::Stranded(_)
            | Keep::Unsynced(_) => true,
            Keep::Excluded
            | Keep::OtherRemotePath
            | Keep::NoVersions(_)
            | Keep::Hot
            | Keep::Archived
            | Keep::Expires(_)
            | Keep::ExpiryUnknown(_)
            | Keep::OldVersionsExpire { .. }
            | Keep::OldVersionsUnknown(_)
            | Keep::Young
            | Keep::Changed
            | Keep::NotRegular
            | Keep::Gone
            | Keep::HardLinked
            | Keep::InUse
            | Keep::UnprovableFilesystem
            | Keep::NoLease(_)
            | Keep::Unreadable(_)
            | Keep::NotRemoved(_) => false,
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Keep::Excluded => {
                "excluded, from the watch (exclude, recursive) or from cleanups (cleanup.exclude)"
            }
            Keep::OtherRemotePath => "its remote path changed; it is uploaded again first",
            Keep::NoVersions(found) => {
                return write!(
                    f,
                    "the bucket has to keep versions: expected versioning enabled, found {found}"
                );
            }
            Keep::NotStored => "the gateway does not have it",
            Keep::OtherContent => "S3 has other content under its path",
            Keep::NoSha256 => "the object in S3 carries no SHA-256",
            Keep::OtherVersion => "S3 has another version than the one that was verified",
            Keep::Hot => "S3 has a copy that was made while it was being written",
            Keep::Archived => "archived in S3, so it could not be read back at once",
            Keep::Expires(rule) => return write!(f, "the bucket deletes it by a rule: {rule}"),
            Keep::ExpiryUnknown(reason) => {
                return write!(f, "it is not known whether the bucket deletes it: {reason}");
            }
            Keep::OldVersionsExpire { rule, days } => {
                return write!(
                    f,
                    "the bucket deletes it {} after another upload has replaced it: {rule}; limit the \
                     rule to other prefixes, or set cleanup.min_old_version_days",
                    Count(u64::from(*days), "day")
                );
            }
            Keep::OldVersionsUnknown(reason) => {
                return write!(
                    f,
                    "it is not known whether the bucket keeps it after another upload: {reason}"
                );
            }
            Keep::ChecksumDiffers => "S3 reports another checksum than that of the local file",
            Keep::Young => "changed too recently (cleanup.min_age_days)",
            Keep::Changed => "changed since it was uploaded",
            Keep::ContentDiffers => {
                "its content is not the one that was uploaded, and its times do not show it"
            }
            Keep::NotRegular => "replaced by something that is not a regular file",
            Keep::Gone => "it does not exist any more",
            Keep::HardLinked => "it has another hard link, so deleting it would free nothing",
            Keep::InUse => "a process has it open or mapped",
            Keep::UnprovableFilesystem => {
                "its filesystem does not show every change of its content"
            }
            Keep::NoLease(error) => {
                return write!(
                    f,
                    "the kernel cannot tell whether a process uses it: {error}; give the agent \
                     CAP_LEASE (docs/systemd.md)"
                );
            }
            Keep::Stranded(error) => return write!(f, "not removed: {error}"),
            Keep::Unsynced(error) => {
                return write!(
                    f,
                    "removed, but its directory cannot be written to the disk: {error}; the next run \
                     finds out whether it is gone"
                );
            }
            Keep::Unreadable(error) => return write!(f, "cannot read it: {error}"),
            Keep::NotRemoved(error) => {
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
