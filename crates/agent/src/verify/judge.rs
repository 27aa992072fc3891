//! Decides whether a file is protected, from what disk, database and gateway say. Pure.

use std::fmt;

use s3up_core::Sha256Digest;
use s3up_core::wire::Verdict;

/// The content on the disk of a file that the database calls protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskContent {
    Hashed(Sha256Digest),
    /// The file changed since it was scanned. The next upload is due.
    Changed,
    Unreadable(String),
}

/// The reason for which a file is not known to be protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The state that the database gives it.
    NotProtected(String),
    /// The file has other content than its row although its identity is the same.
    ContentDiffers,
    Changed,
    Unreadable(String),
    GatewayLacksIt,
    GatewayDiffers,
    /// A cleanup deleted it, and the gateway does not have it any more.
    DeletedAndLost(Verdict),
    /// The gateway answered something else.
    NotCompared(Verdict),
    /// The watch could not be scanned.
    NotScanned(String),
}

/// `recorded` is the SHA-256 in the database.
pub fn judge(recorded: Sha256Digest, disk: &DiskContent, verdict: Verdict) -> Option<Finding> {
    match disk {
        DiskContent::Changed => return Some(Finding::Changed),
        DiskContent::Unreadable(error) => return Some(Finding::Unreadable(error.clone())),
        DiskContent::Hashed(found) if *found != recorded => return Some(Finding::ContentDiffers),
        DiskContent::Hashed(_) => {}
    }
    match verdict {
        Verdict::Unchanged => None,
        Verdict::Differs => Some(Finding::GatewayDiffers),
        // A gateway that lacks the file says only why it would refuse an upload of it.
        Verdict::Missing | Verdict::TooLarge | Verdict::Forbidden | Verdict::Quota => {
            Some(Finding::GatewayLacksIt)
        }
        Verdict::BadPath | Verdict::Unknown => Some(Finding::NotCompared(verdict)),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NotProtected(state) => f.write_str(state),
            Finding::ContentDiffers => f.write_str(
                "its content is not the one that was uploaded, and its times do not show it; \
                 restore it, or touch it to upload it as it is",
            ),
            Finding::Changed => f.write_str("changed since the scan; it will be uploaded"),
            Finding::Unreadable(error) => write!(f, "cannot read it: {error}"),
            Finding::GatewayLacksIt => f.write_str("the gateway does not have it"),
            Finding::GatewayDiffers => f.write_str("the gateway has other content"),
            Finding::DeletedAndLost(verdict) => write!(
                f,
                "deleted by cleanup: expected the deleted content at the gateway, found {verdict:?}; \
                 check its older versions (s3up list PATH --versions)"
            ),
            Finding::NotCompared(verdict) => {
                write!(f, "expected a verdict of the gateway, found {verdict:?}")
            }
            Finding::NotScanned(error) => write!(f, "cannot be scanned: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_protected_only_if_all_three_agree() {
        let recorded = Sha256Digest::of(b"content");
        let same = DiskContent::Hashed(recorded);
        let other = DiskContent::Hashed(Sha256Digest::of(b"other"));
        let unreadable = DiskContent::Unreadable("EIO".to_owned());
        #[rustfmt::skip]
        let cases = [
            // disk                   gateway              finding
            (&same,                   Verdict::Unchanged,  None),
            (&same,                   Verdict::Missing,    Some(Finding::GatewayLacksIt)),
            (&same,                   Verdict::Quota,      Some(Finding::GatewayLacksIt)),
            (&same,                   Verdict::Differs,    Some(Finding::GatewayDiffers)),
            (&same,                   Verdict::BadPath,    Some(Finding::NotCompared(Verdict::BadPath))),
            (&same,                   Verdict::Unknown,    Some(Finding::NotCompared(Verdict::Unknown))),
            (&other,                  Verdict::Unchanged,  Some(Finding::ContentDiffers)),
            (&other,                  Verdict::Differs,    Some(Finding::ContentDiffers)),
            (&DiskContent::Changed,   Verdict::Unchanged,  Some(Finding::Changed)),
            (&unreadable,             Verdict::Unchanged,  Some(Finding::Unreadable("EIO".to_owned()))),
        ];
        for (disk, verdict, want) in cases {
            assert_eq!(judge(recorded, disk, verdict), want, "{disk:?} {verdict:?}");
        }
    }
}
