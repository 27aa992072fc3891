//! An S3 server in a folder, for the demo and the tests.
//!
//! A request comes in through `serve`, which hands its body on and applies
//! injected [`Faults`]; `s3s` checks the signature and turns HTTP into a typed
//! call; `api` answers it. Bytes of a body go through `receive` (temporary
//! file, checksums) into a *blob*; what an object is (key, metadata, list of
//! blobs) is a JSON record beside it. The records are read into memory at
//! start, so that listings never touch the disk.
//!
//! It is strict where a backup tool could be wrong: signatures, checksums, part
//! order and size, conditional writes, versions, archived classes. Lifecycle
//! configurations are kept and told, and nothing expires by them. Not here yet:
//! Object Lock, copies of parts, tags, policies, presigned uploads in chunks,
//! `If-Modified-Since`; a restore that runs is not sped up by a faster tier.
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
//!
//! let held = s3.faults().hold(1); // of any operation
//! // ... start a program ...
//! held.reached().await; // its first call took effect, and it does not know
//! // ... kill it ...
//! held.release();
//! s3.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The control endpoint
//!
//! Another process steers the server by JSON over HTTP, without a signature,
//! from loopback. The paths are below `/_control/`, which no bucket can be
//! called. A refused command is answered 4xx with `{"error": "..."}`.
//!
//! | | Body | Does |
//! |---|---|---|
//! | `POST faults` | `{"op": "PutObject", "nth": 1, "fault": {"kind": "stall"}}` | the n-th call of the operation from now on fails |
//! | `GET faults` | | `{"unfired": [...]}`: what was injected and has not happened |
//! | `DELETE faults` | | takes back every fault that waits |
//! | `GET calls` | | `{"total": 3, "by_operation": {"PutObject": 3}}` |
//! | `POST holds` | `{"nth": 2}`, or with `"op": "PutObject"` | the n-th call from now on does its work and is not answered; gives an `id` |
//! | `GET holds/ID` | | `{"has_fired": true}` once the call did its work |
//! | `GET holds/ID/reached` | | the same, and waits for it |
//! | `DELETE holds/ID` | | breaks the connection of the held call |
//! | `PUT network` | `{"latency_ms": 50, "bytes_per_second": 1000000}` | every call waits; both ways are thin; `{}` for neither |
//! | `GET clock` | | `{"now": "..."}` |
//! | `POST clock` | `{"advance_seconds": 86400}` | moves the clock ahead; restores end and expire by it |
//! | `PUT restore` | `{"delay_seconds": 3600}` | how long restores take |
//!
//! A fault is `internal_error`, `slow_down` (with `retry_after_seconds` if
//! wanted), `stall`, `cut_upload` (`after_bytes`), `cut_body` (`after_bytes`),
//! `flip_byte` (`offset`), `lose_answer`, `late_internal_error`, `error_in_200`
//! or `late_error_in_200`: see [`Fault`].

mod api;
mod archive;
mod assemble;
mod blob;
mod body;
mod clock;
mod control;
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
mod pace;
mod precondition;
mod receive;
mod record;
mod restore;
mod serve;
mod server;
mod store;
mod uploads;

pub use disk::OpenError;
pub use faults::{Fault, Faults, Held, Injected, Op};
pub use options::{Conditions, Options};
pub use record::Versioning;
pub use server::{DevStore, StartError};
pub use store::BucketError;
