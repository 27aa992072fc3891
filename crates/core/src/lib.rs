//! Types and rules that the programs of s3up share.
//!
//! Text from outside (a request, a configuration file, a name on disk) becomes
//! a checked type here, once: [`RemotePath`], [`ClientName`], [`KeyPrefix`],
//! [`Sha256Digest`]. Together they form a [`Key`], the only type that names an
//! object in the bucket. [`part`] splits a length into S3 parts, [`storage_class`] says what
//! follows from a storage class; [`wire`] and [`refusal`] define the messages between gateway and
//! agent.
//!
//! Not here: anything that reads a file, a socket or a clock; [`Clock`] is how others pass one in.

mod amount;
mod client_name;
mod clock;
pub mod digest;
mod error_chain;
pub mod escape;
mod key;
pub mod part;
pub mod progress;
pub mod refusal;
mod remote_path;
mod severity;
mod size;
pub mod storage_class;
mod token_bucket;
pub mod url;
pub mod wire;

pub use amount::{Count, Elapsed, age_text};
pub use client_name::{ClientName, ClientNameError};
pub use clock::{Clock, Stopwatch};
pub use digest::{Crc64Nvme, DigestError, Sha256, Sha256Digest};
pub use error_chain::error_chain;
pub use key::{Key, KeyError, KeyPrefix, file_path};
pub use refusal::Code;
pub use remote_path::{KEY_BYTES_MAX, PathRule, RemotePath};
pub use severity::Severity;
pub use size::{Size, Throughput};
pub use token_bucket::TokenBucket;
