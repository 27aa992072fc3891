//! The agent's database: what is safe, what is baseline, what is a problem.
//!
//! One writer ([`Writer`]) commits in batches with `synchronous=FULL`, so a row
//! in `files` survives a power loss; readers ([`Reader`]) go beside it in WAL
//! mode, also from another process. The tables are in `migrations/`.
//!
//! Losing the database loses no file: what it does not know is hashed and
//! offered to the gateway again, which stores only what it does not have.

mod error;
mod lock;
mod open;
mod read;
mod write;

pub use error::DbError;
pub use lock::{Lock, LockError};
pub use open::{Database, create_folder, open, open_read_only};
pub use read::{LOOKUP_MAX, Page, Reader, WatchState};
pub use write::{Change, Upload, Writer};
