//! Restores the files below a remote prefix into a directory.
//!
//! ```text
//! pages --> observe the target --> plan --> fetch (many at once) --> writer threads
//! ```
//!
//! [`plan`] decides for each file whether it is restored, is whole already, or has to stay as it is;
//! it is pure, and `--dry-run` prints the same values. [`run`] carries the plan out. A file appears
//! under its name only when its length and SHA-256 were verified, so a run that was killed is resumed
//! by running it again: a file with the right content is not fetched again ([`observe`] hashes it). No
//! record is kept anywhere.
//!
//! Every path is resolved beneath the target without following a symlink ([`target_dir`]). A file is
//! not synced by itself; the filesystem of the target is, once, at the end.

pub mod error;
pub mod fetch;
pub mod observe;
pub mod plan;
pub mod retry;
pub mod run;
pub mod summary;
pub mod target_dir;
pub mod writer;
