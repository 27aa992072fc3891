//! Counts how much of a subvolume changed lately. This is no forecast of a backup.
//!
//! It counts whole files with a recent ctime, although `btrfs send` sends only changed
//! extents; it cannot see that a file was defragmented or that a copy shares its data. A
//! file with several names counts once, and holes do not count. What a backup would send
//! is in [`forecast`](crate::forecast).

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use btrfs_host::filesystem::STAT_BLOCK_BYTES;
use btrfs_host::walk::{Walk, WalkItem};
use jiff::Timestamp;
use s3up_repository::names::SubvolumeName;
use serde::Serialize;

/// Maximum number of hard-linked inodes to remember: some 20 MiB.
const LINKED_MAX: usize = 1 << 20;
/// Maximum number of unreadable entries that are named. All are counted.
const NAMED_MAX: usize = 20;

/// Estimate for one subvolume. The JSON output has these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    pub subvolume: String,
    /// A file counts as changed if its ctime is this or later.
    pub since: String,
    pub changed_files: u64,
    pub changed_bytes: u64,
    pub files: u64,
    pub bytes: u64,
    /// Number of nested subvolumes and mounts.
    pub not_entered: u64,
    pub unreadable: u64,
    /// The first unreadable entries, with the reason.
    pub unreadable_named: Vec<String>,
    /// True if there were too many hard-linked files to remember, so that some may have
    /// been counted more than once.
    pub links_forgotten: bool,
}

/// Walks over the whole tree. Blocks.
pub fn estimate(name: &SubvolumeName, root: &Path, since: Timestamp) -> io::Result<Estimate> {
    let mut estimate = Estimate {
        subvolume: name.to_string(),
        since: s3up_repository::stamp::seconds(since),
        ..Estimate::default()
    };
    let mut linked = HashSet::new();
    for found in Walk::below(root)? {
        match found {
            WalkItem::Dir { .. } => {}
            WalkItem::Elsewhere { .. } => estimate.not_entered += 1,
            WalkItem::Unreadable { path, error } => {
                estimate.unreadable += 1;
                if estimate.unreadable_named.len() < NAMED_MAX {
                    estimate.unreadable_named.push(format!("{}: {error}", path.display()));
                }
            }
            WalkItem::File { metadata, .. } => {
                if metadata.is_file() && estimate.is_first(&metadata, &mut linked) {
                    estimate.add(&metadata, since);
                }
            }
        }
    }
    Ok(estimate)
}

impl Estimate {
    /// Returns true if no other name of the file has been counted.
    fn is_first(&mut self, metadata: &Metadata, linked: &mut HashSet<u64>) -> bool {
        if metadata.nlink() < 2 {
            return true;
        }
        if linked.len() >= LINKED_MAX && !linked.contains(&metadata.ino()) {
            self.links_forgotten = true;
            return true;
        }
        linked.insert(metadata.ino())
    }

    fn add(&mut self, metadata: &Metadata, since: Timestamp) {
        let bytes = metadata.len().min(metadata.blocks().saturating_mul(STAT_BLOCK_BYTES));
        self.files += 1;
        self.bytes += bytes;
        if metadata.ctime() >= since.as_second() {
            self.changed_files += 1;
            self.changed_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;

    use super::*;

    fn of(root: &Path, since: Timestamp) -> Estimate {
        estimate(&SubvolumeName::parse("data").unwrap(), root, since).unwrap()
    }

    #[test]
    fn hard_links_and_holes_do_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("one"), [1; 1000]).unwrap();
        fs::write(root.join("sub/two"), [2; 500]).unwrap();
        fs::hard_link(root.join("one"), root.join("sub/again")).unwrap();
        fs::hard_link(root.join("one"), root.join("sub/and again")).unwrap();
        std::os::unix::fs::symlink("one", root.join("link")).unwrap();
        let sparse = File::create(root.join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        sparse.write_all_at(&[3; 4096], 1 << 30).unwrap();

        let all = of(root, Timestamp::UNIX_EPOCH);
        let none = of(root, Timestamp::MAX);

        assert_eq!((all.changed_files, all.files), (3, 3));
        assert!((5596..5596 + (1 << 20)).contains(&all.bytes), "{}", all.bytes);
        assert_eq!(all.changed_bytes, all.bytes);
        assert_eq!((none.changed_files, none.changed_bytes, none.files), (0, 0, 3));
        assert_eq!((all.unreadable, all.not_entered), (0, 0));
    }
}
