//! What the tests of several crates share. Nothing here is part of a product.
//!
//! - [`BtrfsFs`]: a real btrfs filesystem of the test's own, on a loop device;
//!   [`btrfs_or_skip`] says whether this machine can have one.
//! - [`SmallDisk`]: a small filesystem in memory, for disks that are full.
//! - [`Tree`] and [`Observed`]: a file tree from a literal, and what is really
//!   there, compared down to owners, times, links and extended attributes.
//! - [`StandIn`]: a `btrfs` for the `PATH` that goes wrong on cue, and else is
//!   the real one; [`Marker`] finds every process that a test left behind.
//! - [`TestS3`]: an S3 server for programs that run as processes, and
//!   [`kill_at_each_call`], which kills (-9) such a program everywhere.
//! - [`AwsBucket`]: a real bucket, where `./check --aws` names one.
//!
//! Whatever these make is gone when they are dropped, and a test that panics
//! drops them too. Not here: failures of S3, which `s3up_devstore::Faults` has.

mod aws;
mod btrfs;
mod differences;
mod gate;
mod kill;
mod noise;
mod observe;
mod owner;
mod patience;
mod processes;
mod program;
mod s3;
mod small_disk;
mod stand_in;
mod tree;

pub use aws::AwsBucket;
pub use btrfs::{BtrfsFs, delete_subvolume, set_read_only};
pub use differences::{assert_same_tree, differences};
pub use gate::{btrfs_or_skip, root_or_skip};
pub use kill::{End, Moment, kill_at_each_call, kill_when, run_to_success};
pub use noise::noise;
pub use observe::{Entry, Kind, Observed, observe};
pub use owner::temp_dir;
pub use patience::wait_until;
pub use processes::{Marker, Process, processes_with_env};
pub use s3::TestS3;
pub use small_disk::SmallDisk;
pub use stand_in::{Call, Cue, Does, Ends, StandIn, Turn};
pub use tree::{Node, Tree, char_device, dir, fifo, file, hard_link, sparse, symlink};
