//! What the tests of several crates share. Nothing here is part of a product.
//!
//! - [`BtrfsFs`]: a real btrfs filesystem of the test's own, on a loop device;
//!   [`btrfs_or_skip`] says whether this machine can have one.
//! - [`Tree`] and [`Observed`]: a file tree from a literal, and what is really
//!   there, compared down to owners, times, links and extended attributes.
//!
//! Whatever these make is gone when they are dropped, and a test that panics
//! drops them too. Not here: failures of S3, which `s3up_devstore::Faults` has.

mod btrfs;
mod differences;
mod observe;
mod owner;
mod patience;
mod program;
mod tree;

pub use btrfs::{BtrfsFs, btrfs_or_skip, delete_subvolume, set_read_only};
pub use differences::{assert_same_tree, differences};
pub use observe::{Entry, Kind, Observed, observe};
pub use owner::temp_dir;
pub use patience::wait_until;
pub use tree::{Node, Tree, char_device, dir, fifo, file, hard_link, sparse, symlink};
