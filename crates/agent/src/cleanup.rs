//! Deletes local files whose only other copy, in S3, is proven to be whole and to stay. Off by default.
//!
//! A file is verified first: the gateway asks S3 for it (`POST /proof`) and the agent records when. It
//! is deleted by a run at least `cleanup.after_days` later, for which the gateway asks S3 again. [`judge`]
//! decides from the row, the proof and the file on the disk; it names the reason for which a file is
//! kept. [`remove`] opens the file confined to its watch, hashes it under a lease of the kernel, and
//! removes it.
//!
//! The row is marked before a file is removed, and the file gets a name of its own before its link is
//! removed. So a run that dies leaves nothing that [`recover`] cannot undo.

mod disk;
pub mod error;
pub mod judge;
pub mod lock;
pub mod policy;
pub mod recover;
pub mod remove;
pub mod run;
mod schedule;
pub mod summary;
pub mod task;
