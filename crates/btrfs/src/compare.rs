//! Compares a restored tree with the snapshot that was sent.
//!
//! Both trees are walked together, directory by directory ([`run`]); threads read the contents of
//! files, but not the holes that both have. Files whose content was compared while the rest of the stream
//! was received, and that did not change since, are not read again ([`early`]). Compared are kind, content, length, permissions, owner, modification time,
//! symlink targets, device numbers, hard links, and extended attributes with ACLs. Not compared is
//! what `btrfs send` does not carry: atime and ctime, inode flags, the position of holes. A
//! subvolume inside the source is not part of a snapshot; it is only counted.
//!
//! Memory is bounded: one open directory of each tree per level, the first differences, the
//! hashes of a sample, and [`LINKED_MAX`] inodes with hard links.

mod buffers;
mod content;
mod difference;
mod early;
mod entry;
mod hard_links;
mod proof;
mod request;
mod result;
mod run;
mod sample;
mod walk;

pub use self::difference::{Difference, Differences, Mismatch, Side};
pub use self::early::{ComparedFiles, EarlyComparison, EarlyFiles};
pub use self::hard_links::LINKED_MAX;
pub use self::proof::{CompareOptions, Proof, SnapshotSource, find_source};
pub use self::request::{CompareRequest, Extent, RestoredTree, SampleLimits};
pub use self::result::{CompareError, Comparison};
pub use self::run::compare;

#[cfg(test)]
mod tests;
