//! The program `btrfs` and the kernel, as a host that sends and receives
//! snapshots uses them.
//!
//! [`tool`] finds and calls the program, [`send`] and [`receive`] run it beside
//! us for hours; [`subvolume`] and [`filesystem`] describe what is on disk.
//!
//! Not here: the format of send streams (`btrfs-sendstream`), S3, configuration,
//! and which snapshots are ours.

pub mod attributes;
mod child;
pub mod command_tap;
pub mod compressed;
pub mod exit_report;
pub mod filesystem;
pub mod forecast;
pub mod identity;
pub mod long_paths;
pub mod nested;
pub mod read_errors;
pub mod receivable;
pub mod receive;
pub mod received_source;
pub mod root_times;
pub mod send;
pub mod spool;
pub mod subvolume;
pub mod tool;
pub mod walk;
