//! Helpers for the tests of several crates. Nothing here is part of the product.
//!
//! - [`BtrfsFs`]: a real btrfs filesystem for one test, on a loop device;
//!   [`btrfs_or_skip`] tells whether this machine can have one.
//! - [`SmallDisk`]: a small filesystem in memory, to test full disks.
//! - [`Tree`] and [`observe()`]: create a file tree from a literal, and read one with
//!   its owners, times, links and extended attributes, to compare them.
//! - [`RandomTree`]: a tree of files that is changed at random;
//! - [`StandIn`]: a `btrfs` for the `PATH` with fault injection; [`ProcessTag`]
//!   finds every process that a test left behind.
//! - [`TestS3`]: an S3 server for programs that run as processes, and
//!   [`kill_at_each_call`], which kills such a program (SIGKILL) at each S3 call.
//! - [`Postgres`]: a PostgreSQL server on a Unix socket; [`postgres_or_skip`] tells whether
//!   this machine can have one.
//! - [`CLOCK`]: the clock of this machine.
//! - [`golden`]: texts that a person sees (help, tables, transcripts in the
//!   documents), compared with files.
//! - [`SwappedBody`], [`StatusRecorder`]: interceptors of the AWS SDK.
//! - [`Policy`]: an IAM policy of `packaging/aws`; [`CallRecord`] holds it to the calls of a program.
//! - [`AwsBucket`]: a real bucket, for tests that `./check --aws` runs.
//! - [`Foreign`]: S3 servers that we did not write, for tests that `./check --full` runs.
//!
//! All of them clean up when they are dropped, also if the test panics. Not here:
//! faults of S3, which `s3up_devstore::Faults` injects.

mod aws;
mod clock;
mod differences;
mod filesystem;
mod foreign;
pub mod golden;
mod iam;
mod interceptors;
mod kill;
mod noise;
mod observe;
mod other_filesystem;
mod owner;
mod postgres;
mod processes;
mod program;
mod random_tree;
mod requirements;
mod s3;
mod s3_client;
mod small_disk;
mod stand_in;
mod tree;
mod wait;

pub use aws::AwsBucket;
pub use clock::CLOCK;
pub use differences::{assert_same_tree, differences};
pub use filesystem::{BtrfsFs, delete_subvolume, set_read_only, set_received_uuid};
pub use foreign::{Foreign, ForeignServer};
pub use iam::{CallRecord, Policy};
pub use interceptors::{StatusRecorder, SwappedBody};
pub use kill::{Checkpoint, ProgramEnd, kill_at_each_call, kill_when, run_to_success};
pub use noise::noise;
pub use observe::{Observed, ObservedEntry, ObservedKind, observe};
pub use other_filesystem::{OtherFs, OtherKind};
pub use owner::temp_dir;
pub use postgres::{Postgres, postgres_or_skip};
pub use processes::{Process, ProcessTag, processes_with_env};
pub use program::find as find_program;
pub use random_tree::RandomTree;
pub use requirements::{btrfs_or_skip, root_or_skip};
pub use s3::TestS3;
pub use s3_client::S3Client;
pub use small_disk::SmallDisk;
pub use stand_in::{BtrfsFault, Call, Calls, ExitAs, InjectedFault, StandIn};
pub use tree::{Node, Tree, char_device, dir, fifo, file, hard_link, sparse, symlink};
pub use wait::wait_until;
