//! The agent's database: which files are protected, baseline, or a problem.
//!
//! One [`Writer`] commits in batches with `synchronous=FULL`, so that a row in
//! `files` survives a power loss. Any number of [`Reader`]s run beside it in WAL
//! mode, also in another process. The tables are in `migrations/`.
//!
//! Losing the database loses no file: the agent hashes files that it does not
//! know and offers them to the gateway, which stores only what it does not have.

mod error;
mod lock;
mod open;
mod read;
pub mod recorder;
mod write;

pub use error::DatabaseError;
pub use lock::{Lock, LockError};
pub use open::{Database, create_dir, open, open_read_only};
pub use read::{LOOKUP_MAX, Page, Reader};
pub use write::{Change, Upload, Writer};
