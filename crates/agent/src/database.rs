//! The agent's database: which files are protected, baseline, or a problem.
//!
//! One [`Writer`] commits in batches with `synchronous=FULL`, so that a row in
//! `files` survives a power loss. Any number of [`Reader`]s run beside it in WAL
//! mode, also in another process. The tables are in `migrations/`.
//!
//! Losing the database loses no file. A marker beside it, or the files that the gateway has, tell
//! a lost database from a first start. The agent then hashes the files that it does not know and
//! asks the gateway for each of them; it uploads what the gateway does not have.

mod cleanup;
mod database_file;
mod error;
mod lock;
pub mod marker;
mod open;
mod read;
mod record_fact;
pub mod recorder;
pub mod retry_requests;
mod write;

pub use cleanup::{CleanupChange, CleanupRow, DeletedRow, InterruptedDeletion};
pub use database_file::DatabaseFile;
pub use error::DatabaseError;
pub use lock::{Lock, LockError};
pub use open::{Database, create_dir, open, open_read_only};
pub use read::{LOOKUP_MAX, Page, Reader};
pub use record_fact::record_fact;
pub use retry_requests::{RetryScope, request_retry};
pub use write::{Change, REPORTS_MAX, Upload, Writer};
