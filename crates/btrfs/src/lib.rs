//! Backs up snapshots of btrfs subvolumes to S3, and restores them.
//!
//! ```text
//! backup   observe (S3, disk) -> plan -> snapshots of all subvolumes together
//!             -> send (verified as it passes) -> chunks in S3 -> publish -> cleanup
//! restore  pointer -> chain -> parts (each verified) -> receive, in a staging directory
//!             -> read-only and received UUID checked -> writable snapshot at the target
//! ```
//!
//! [`look`](look::look) observes, [`decide`](plan::decide) decides, [`Backup`](backup::Backup) and
//! [`Restore`](restore::Restore) execute. A backup counts once its pointer is written
//! ([`publish`]), which is the last write. The truth is in the bucket and on the disk: the
//! [`record`] of a snapshot only says what may be cleaned up. An interrupted backup is resumed if
//! [`resume::decide`] says so.
//!
//! Not here: the S3 protocol (`s3up-store`) and the format of send streams (`btrfs-sendstream`).

// The futures of the AWS SDK are nested about a hundred deep.
#![recursion_limit = "256"]

pub mod audit;
pub mod backup;
pub mod benchmark;
pub mod bucket;
pub mod catalogue;
mod cause;
pub mod chain;
pub mod check;
mod child;
pub mod compare;
pub mod compressed;
pub mod config;
pub mod drill;
pub mod estimate;
pub mod failure;
pub mod filesystem;
pub mod history;
pub mod home;
pub mod kept;
pub mod layout;
pub mod local;
pub mod lock;
pub mod look;
pub mod manifest;
mod memo;
mod nested;
mod nocow;
pub mod notify;
mod outcome;
pub mod plan;
pub mod planner;
pub mod prune;
pub mod publish;
pub mod receive;
pub mod record;
mod replace;
pub mod restore;
pub mod resume;
pub mod retention;
pub mod root_times;
pub mod schedule;
pub mod selection;
pub mod send;
pub mod shelf;
pub mod snapshot;
pub mod source;
pub mod spool;
pub mod staging;
pub mod stamp;
pub mod state;
pub mod status;
pub mod stopping;
pub mod subvolume;
pub mod thaw;
pub mod tidy;
pub mod tool;
pub mod verify;
pub mod walk;
