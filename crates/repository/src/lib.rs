//! The backups in a bucket: names, manifests, chains, retention.
//!
//! [`layout`] says where an object lies, [`manifest`] what describes a backup,
//! [`chain`] which backups restore one. [`documents`] reads and writes them,
//! [`publish`] makes a backup count. [`catalogue`] is all that is there;
//! [`retention`], [`prune`], [`verify`] and [`thaw`] work on it.
//!
//! Not here: the protocol of S3 (`s3up-store`), and anything that starts a
//! process, reads a configuration, or needs btrfs or root.

// The futures of the AWS SDK are nested about a hundred deep.
#![recursion_limit = "256"]

pub mod atomic_write;
pub mod audit;
pub mod catalogue;
pub mod chain;
pub mod documents;
pub mod fetch;
pub mod layout;
pub mod location;
pub mod manifest;
pub mod names;
pub mod origin;
pub mod prune;
pub mod publish;
pub mod published;
pub mod retention;
pub mod stamp;
pub mod state_file;
pub mod stream_index;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod thaw;
pub mod verify;
