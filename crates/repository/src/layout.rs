//! The keys of a backup in the bucket.
//!
//! ```text
//! <prefix>subvol/<name>/current.json
//! <prefix>subvol/<name>/full/manifest-<time>.json
//! <prefix>subvol/<name>/full/manifest-<time>-parts.json
//! <prefix>subvol/<name>/full/manifest-<time>-index.bin
//! <prefix>subvol/<name>/full/chunk-<time>-<n>.bin          n = 0, 1, 2...
//! <prefix>subvol/<name>/incremental/...                    the same
//! ```

use s3up_core::{Key, KeyPrefix};

use crate::names::{BackupKind, SnapshotName, SubvolumeName};

/// Longest part of a key after the prefix; the rest of the 1,024 bytes is for the
/// prefix.
const BELOW_PREFIX_BYTES_MAX: usize = 300;

/// End of the key of an index, instead of `.json`.
const INDEX_SUFFIX: &str = "-index.bin";

/// Storage class of an object whose class S3 does not report.
pub const STANDARD: &str = "STANDARD";

/// The layout of a repository: builds all keys below its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: KeyPrefix,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a prefix of at most {max} bytes, found {bytes}")]
pub struct PrefixTooLong {
    bytes: usize,
    max: usize,
}

impl Layout {
    pub fn new(prefix: KeyPrefix) -> Result<Layout, PrefixTooLong> {
        let (bytes, max) =
            (prefix.as_str().len(), s3up_core::KEY_BYTES_MAX - BELOW_PREFIX_BYTES_MAX);
        if bytes > max { Err(PrefixTooLong { bytes, max }) } else { Ok(Layout { prefix }) }
    }

    pub fn prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    pub fn pointer(&self, subvolume: &SubvolumeName) -> Key {
        self.key(format_args!("{subvolume}/current.json"))
    }

    /// Returns the common start of the keys of all subvolumes.
    pub fn subvolumes(&self) -> String {
        format!("{}subvol/", self.prefix)
    }

    /// Returns the common start of all keys of a subvolume.
    pub fn directory(&self, subvolume: &SubvolumeName) -> String {
        format!("{}subvol/{subvolume}/", self.prefix)
    }

    pub fn manifest(&self, backup: &SnapshotName) -> Key {
        self.of(backup, format_args!("manifest-{}.json", backup.stamp))
    }

    /// Returns the common start of the keys of all manifests of one kind, and of their
    /// part indexes.
    pub fn manifests(&self, subvolume: &SubvolumeName, kind: BackupKind) -> String {
        format!("{}{}/manifest-", self.directory(subvolume), dir_of(kind))
    }

    pub fn parts(&self, backup: &SnapshotName) -> Key {
        self.of(backup, format_args!("manifest-{}-parts.json", backup.stamp))
    }

    pub fn chunk(&self, backup: &SnapshotName, number: u64) -> Key {
        self.of(backup, format_args!("chunk-{}-{number}.bin", backup.stamp))
    }

    /// Returns the common start of the keys of all chunks of a backup. No other key
    /// starts like that.
    pub fn chunks(&self, backup: &SnapshotName) -> String {
        self.of(backup, format_args!("chunk-{}-", backup.stamp)).as_str().to_owned()
    }

    /// Returns true if a key has the form of a chunk, a part index or an index of this subvolume. Prune
    /// deletes no other objects but manifests.
    pub fn is_stream_object(&self, subvolume: &SubvolumeName, key: &Key) -> bool {
        let directory = self.directory(subvolume);
        [BackupKind::Full, BackupKind::Incremental].into_iter().any(|kind| {
            let below = format!("{directory}{}/", dir_of(kind));
            let Some(name) = key.as_str().strip_prefix(&below) else { return false };
            let is_chunk = name.starts_with("chunk-") && name.ends_with(".bin");
            let is_beside = name.ends_with("-parts.json") || name.ends_with(INDEX_SUFFIX);
            is_chunk || (name.starts_with("manifest-") && is_beside)
        })
    }

    fn of(&self, backup: &SnapshotName, name: std::fmt::Arguments<'_>) -> Key {
        let directory = dir_of(backup.kind);
        self.key(format_args!("{}/{directory}/{name}", backup.subvolume))
    }

    fn key(&self, below: std::fmt::Arguments<'_>) -> Key {
        let key = Key::parse(&format!("{}subvol/{below}", self.prefix));
        key.expect("checked segments below a prefix whose length was checked")
    }
}

/// Returns the key of the index of a backup, from the key of its manifest.
pub fn index_key(manifest: &Key) -> Key {
    let manifest = manifest.as_str();
    let stem = manifest.strip_suffix(".json").unwrap_or(manifest);
    Key::parse(&format!("{stem}{INDEX_SUFFIX}")).expect("a checked key, a few bytes longer")
}

fn dir_of(kind: BackupKind) -> &'static str {
    match kind {
        BackupKind::Full => "full",
        BackupKind::Incremental => "incremental",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_documented_layout() {
        let layout = Layout::new(KeyPrefix::parse("backup/data").unwrap()).unwrap();
        let full = SnapshotName::parse("home__20260131T235959Z__full").unwrap();
        let inc = SnapshotName::parse("home__20260201T020000Z__inc").unwrap();
        #[rustfmt::skip]
        let cases = [
            (layout.pointer(&full.subvolume), "current.json"),
            (layout.manifest(&full),  "full/manifest-20260131T235959Z.json"),
            (layout.parts(&full),     "full/manifest-20260131T235959Z-parts.json"),
            (index_key(&layout.manifest(&full)), "full/manifest-20260131T235959Z-index.bin"),
            (layout.chunk(&full, 0),  "full/chunk-20260131T235959Z-0.bin"),
            (layout.manifest(&inc),   "incremental/manifest-20260201T020000Z.json"),
            (layout.chunk(&inc, 12),  "incremental/chunk-20260201T020000Z-12.bin"),
        ];
        for (key, below) in cases {
            assert_eq!(key.as_str(), format!("backup/data/subvol/home/{below}"));
        }
        assert!(layout.chunk(&inc, 12).as_str().starts_with(&layout.chunks(&inc)));
    }

    #[test]
    fn the_longest_name_fits_below_the_longest_prefix() {
        let max = s3up_core::KEY_BYTES_MAX - BELOW_PREFIX_BYTES_MAX;
        let prefix = |bytes: usize| KeyPrefix::parse(&"p".repeat(bytes - 1)).unwrap();
        let layout = Layout::new(prefix(max)).unwrap();
        let name = "n".repeat(crate::names::SUBVOLUME_NAME_BYTES_MAX);
        let backup = SnapshotName::parse(&format!("{name}__20260131T235959Z__inc")).unwrap();

        assert!(layout.chunk(&backup, u64::MAX).as_str().len() <= s3up_core::KEY_BYTES_MAX);
        assert!(layout.parts(&backup).as_str().len() <= s3up_core::KEY_BYTES_MAX);
        assert!(Layout::new(prefix(max + 1)).is_err());
    }
}
