//! Names of subvolumes and of their snapshots.
//!
//! A snapshot is named `<subvolume>__<time>__<full|inc>` and lies in
//! `snapshots.base_dir`. Anything there with another name is not ours and is never
//! touched.

use std::fmt;
use std::path::PathBuf;

use s3up_core::Key;
use serde::{Deserialize, Serialize};

use crate::stamp::Stamp;

/// Keeps the name of a snapshot within the 255 bytes of a file name.
pub const SUBVOLUME_NAME_BYTES_MAX: usize = 200;

const SEPARATOR: &str = "__";

/// Name of a subvolume in the bucket and in the names of its snapshots: one segment of
/// a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubvolumeName(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubvolumeNameError {
    #[error("the name {text:?}: expected at most {SUBVOLUME_NAME_BYTES_MAX} bytes, found {bytes}")]
    TooLong { text: String, bytes: usize },
    #[error("the name {text:?} cannot be one segment of a key: {rule}")]
    NoSegment { text: String, rule: String },
}

/// A subvolume of this host, by the name that it has in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subvolume {
    pub name: SubvolumeName,
    pub path: PathBuf,
}

/// The kind of a backup: a full, or based on a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    Full,
    Incremental,
}

/// Name of a snapshot. The order is by subvolume, then by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    pub subvolume: SubvolumeName,
    pub stamp: Stamp,
    pub kind: BackupKind,
}

impl SubvolumeName {
    pub fn parse(text: &str) -> Result<SubvolumeName, SubvolumeNameError> {
        if text.len() > SUBVOLUME_NAME_BYTES_MAX {
            return Err(SubvolumeNameError::TooLong { text: text.to_owned(), bytes: text.len() });
        }
        let no_segment =
            |rule: String| SubvolumeNameError::NoSegment { text: text.to_owned(), rule };
        if text.contains('/') {
            return Err(no_segment("it contains a slash".to_owned()));
        }
        match Key::parse(text) {
            Ok(_) => Ok(SubvolumeName(text.to_owned())),
            Err(err) => Err(no_segment(err.to_string())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubvolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BackupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackupKind::Full => "full",
            BackupKind::Incremental => "incremental",
        })
    }
}

impl BackupKind {
    fn in_snapshot_name(self) -> &'static str {
        match self {
            BackupKind::Full => "full",
            BackupKind::Incremental => "inc",
        }
    }
}

impl SnapshotName {
    /// Parses a name. `None` means that the snapshot is not ours.
    pub fn parse(text: &str) -> Option<SnapshotName> {
        let mut fields = text.rsplitn(3, SEPARATOR);
        let kind = match fields.next()? {
            "full" => BackupKind::Full,
            "inc" => BackupKind::Incremental,
            _ => return None,
        };
        let stamp = Stamp::parse(fields.next()?).ok()?;
        let subvolume = SubvolumeName::parse(fields.next()?).ok()?;
        Some(SnapshotName { subvolume, stamp, kind })
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.in_snapshot_name();
        write!(f, "{}{SEPARATOR}{}{SEPARATOR}{kind}", self.subvolume, self.stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_name_survives_a_round_trip() {
        for text in [
            "data__20260131T235959Z__full",
            "data__20260131T235959Z__inc",
            "a__b__20260131T235959Z__inc",
            "__20260131T235959Z__full__20260131T235959Z__full",
            "@home__20260131T235959Z__full",
        ] {
            assert_eq!(SnapshotName::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for text in [
            "",
            "data",
            "data__20260131T235959Z",
            "data__20260131T235959Z__incremental",
            "__20260131T235959Z__full",
            "data_20260131T235959Z_full",
            "..__20260131T235959Z__full",
            "data__20261331T235959Z__full",
            "data__20260131T235959Z__full.bak",
        ] {
            assert_eq!(SnapshotName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_subvolume_name_is_one_segment() {
        let long = "x".repeat(SUBVOLUME_NAME_BYTES_MAX + 1);
        for text in ["", ".", "..", "a/b", "/", "a\nb", &long] {
            assert!(SubvolumeName::parse(text).is_err(), "{text:?}");
        }
        for text in ["data", "@", "@home", "my data", "日本", ".snapshots", &long[1..]] {
            assert_eq!(SubvolumeName::parse(text).unwrap().as_str(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_parsed_name_is_formatted_the_same(text in "[a-z_/.]{0,9}__[0-9TZ]{14,18}__(full|inc|x)|.{0,40}") {
            if let Some(name) = SnapshotName::parse(&text) {
                proptest::prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
