//! Backs up snapshots of btrfs subvolumes to S3, and restores them.
//!
//! ```text
//! backup   observe (S3, disk) -> plan -> snapshots of all subvolumes together
//!             -> send (verified as it passes) -> chunks in S3 -> publish -> cleanup
//! restore  pointer -> chain -> parts (each verified) -> receive, in a staging directory
//!             -> read-only and received UUID checked -> writable snapshot at the target
//! ```
//!
//! [`observe`](backup::observe::observe) sees, [`decide`](plan::decide::decide) decides, [`BackupRun`](backup::BackupRun)
//! and [`Restore`](restore::Restore) do. A backup counts once its pointer is
//! written ([`publish`](s3up_repository::publish)), and that is the last thing written.
//! The truth is what is in the bucket and on disk; a [`record`](snapshots::record) of each snapshot
//! only says what may be cleaned up. An interrupted backup is resumed
//! if [`resume::decide`](plan::resume::decide) says so.
//!
//! Not here: the protocol of S3 (`s3up-store`), the format of send streams
//! (`btrfs-sendstream`), what is in the bucket (`s3up-repository`), the program
//! `btrfs` (`btrfs-host`). No module but `commands` prints, and none but `commands`
//! and `config` knows the configuration.

// The futures of the AWS SDK are nested about a hundred deep.
#![recursion_limit = "256"]

pub mod backup;
pub mod backup_report;
pub mod benchmark;
pub mod browse;
pub mod compare;
pub mod config;
pub mod drill;
pub mod estimate;
pub mod forecast;
pub mod lock;
pub mod nested;
pub mod notify;
pub mod origin;
pub mod path_pattern;
pub mod plan;
pub mod prices;
mod removal;
pub mod restore;
pub mod restore_files;
pub mod selection;
mod sibling_dir;
pub mod snapshots;
pub mod status;
