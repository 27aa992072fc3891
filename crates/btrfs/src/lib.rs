//! Snapshots of btrfs subvolumes into S3, and back.
//!
//! ```text
//! backup   look (S3, disk) -> plan -> snapshots of all, together
//!             -> send (proven as it goes by) -> chunks in S3 -> publish -> tidy
//! restore  pointer -> chain -> parts (each verified) -> receive, in a staging folder
//!             -> read-only and received UUID checked -> writable snapshot at the target
//! ```
//!
//! [`look`](look::look) sees, [`decide`](plan::decide) decides, [`Backup`](backup::Backup)
//! and [`Restore`](restore::Restore) do. A backup counts once its pointer is
//! written ([`publish`]), and that is the last thing written.
//! The truth is what is in the bucket and on disk; a [`record`] of each snapshot
//! only says what may be cleared up. A backup that was interrupted is gone on with
//! where [`resume::decide`] says so.
//!
//! Not here: the protocol of S3 (`s3up-store`), the format of send streams
//! (`btrfs-sendstream`).

// A future that waits for the SDK has futures in it a hundred deep.
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
