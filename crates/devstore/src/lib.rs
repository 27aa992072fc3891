//! An S3 server in a directory, for the tests, the demo, the quick starts and benchmarks.
//!
//! `transport` accepts connections and applies injected [`Faults`]. `s3s` checks
//! the signature and turns HTTP into a typed call, which `api` answers from
//! `storage`. Bodies are stored as *blobs* (files); the metadata of an object
//! (key, attributes, list of blobs) is a JSON record. All records are read into
//! memory at start, so listings never touch the disk.
//!
//! The server is strict where a backup tool could be wrong: signatures,
//! checksums, order and size of parts, conditional writes, versions, archived
//! classes. Lifecycle configurations are stored and returned, but nothing expires
//! by them. With [`Behaviours`] it differs from S3 as other servers do. Not implemented:
//! Object Lock, copies of parts, tags, policies, presigned uploads in chunks and
//! `If-Modified-Since`. A faster tier does not shorten a restore that is already running.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use s3up_devstore::{DevStore, Fault, Op, Options, Versioning};
//!
//! let s3 = DevStore::start(Options::new("/tmp/bucket-directory")).await?;
//! s3.create_bucket("backups", Versioning::Enabled).await?;
//! s3.faults().inject(Op::UploadPart, 3, Fault::InternalError);
//! // ... point an S3 client at `s3.endpoint()` ...
//! assert!(s3.faults().unfired().is_empty());
//!
//! let held = s3.faults().hold(1); // the next call of any operation
//! // ... start a program ...
//! held.reached().await; // its first call took effect, but was not answered
//! // ... kill the program ...
//! held.release();
//! s3.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The control endpoint
//!
//! Another process on the same machine controls the server by JSON over HTTP,
//! without a signature. The paths are below `/_control/`, which is no valid
//! bucket name. A refused command is answered 4xx with `{"error": "..."}`.
//!
//! | | Body | Effect |
//! |---|---|---|
//! | `POST faults` | `{"op": "PutObject", "nth": 1, "fault": {"kind": "stall"}}` | makes the n-th call of the operation from now on fail |
//! | `GET faults` | | `{"unfired": [...]}`: injected faults that have not fired yet |
//! | `DELETE faults` | | removes all injected faults |
//! | `GET calls` | | `{"total": 3, "by_operation": {"PutObject": 3}}` |
//! | `POST holds` | `{"nth": 2}`, or with `"op": "PutObject"` | executes the n-th call from now on but holds its answer; returns an `id` |
//! | `GET holds/ID` | | `{"has_fired": true}` once the call was executed |
//! | `GET holds/ID/reached` | | the same, but waits for it |
//! | `DELETE holds/ID` | | breaks the connection of the held call |
//! | `PUT network` | `{"latency_ms": 50, "bytes_per_second": 1000000}` | delays every call and limits the bandwidth in both directions; `{}` removes both |
//! | `GET clock` | | `{"now": "..."}` |
//! | `POST clock` | `{"advance_seconds": 86400}` | advances the clock, by which restores finish and expire |
//! | `PUT restore` | `{"delay_seconds": 3600}` | sets how long restores take |
//!
//! A fault is `internal_error`, `access_denied`, `slow_down` (with an optional
//! `retry_after_seconds`), `stall`, `cut_upload` (`after_bytes`), `cut_body`
//! (`after_bytes`), `flip_byte` (`offset`), `lose_answer`, `late_internal_error`,
//! `error_in_200` or `late_error_in_200`: see [`Fault`].

mod access;
mod api;
mod behaviours;
mod clock;
mod control;
mod faults;
mod inspect;
mod model;
mod options;
mod server;
mod storage;
mod transport;

pub use behaviours::{
    Archive, Behaviours, Checksums, Classes, CompletionETag, ConditionBehaviour, Encryption, Like,
    ListedParts,
};
pub use faults::{Fault, Faults, HeldCall, InjectedFault, Op};
pub use model::record::Versioning;
pub use options::Options;
pub use server::{DevStore, StartError};
pub use storage::disk::OpenError;
pub use storage::store::BucketError;
