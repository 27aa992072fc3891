//! An S3 server in a folder, for the demo and the tests.
//!
//! A request comes in through `server`, which hands its body on and applies
//! injected [`Faults`]; `s3s` checks the signature and turns HTTP into a typed
//! call; `api` answers it. Bytes of a body go through `receive` (temporary
//! file, checksums) into a *blob*; what an object is (key, metadata, list of
//! blobs) is a JSON record beside it. The records are read into memory at
//! start, so that listings never touch the disk.
//!
//! It is strict where a backup tool could be wrong: signatures, checksums, part
//! order and size, conditional writes, versions. Not here yet: archived classes
//! and their restore, Object Lock, copies, tags, policies.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use s3up_devstore::{DevStore, Fault, Op, Options, Versioning};
//!
//! let s3 = DevStore::start(Options::new("/tmp/bucket-folder")).await?;
//! s3.create_bucket("backups", Versioning::Enabled).await?;
//! s3.faults().inject(Op::UploadPart, 3, Fault::InternalError);
//! // ... point an S3 client at `s3.endpoint()` ...
//! assert!(s3.faults().unfired().is_empty());
//! s3.stop().await;
//! # Ok(())
//! # }
//! ```

mod api;
mod archive;
mod assemble;
mod blob;
mod body;
mod clock;
mod digest;
mod disk;
mod faults;
mod flush;
mod gate;
mod inspect;
mod listing;
mod load;
mod objects;
mod options;
mod precondition;
mod receive;
mod record;
mod restore;
mod server;
mod store;
mod uploads;

pub use disk::OpenError;
pub use faults::{Fault, Faults, Held, Injected, Op};
pub use options::Options;
pub use record::Versioning;
pub use server::{DevStore, StartError};
pub use store::BucketError;
