//! The object store engine: the only crate that speaks S3.
//!
//! Up: a reader goes in; a [`cut`] fills pooled buffers from it, every full
//! buffer is one part, hashed beside being sent, and the next part is read
//! while up to `in_flight` others are on their way. [`Store::stage`] ends when
//! S3 holds every byte and nothing is visible; [`Staged::commit`] makes the
//! object visible, whole. [`Store::upload_chunks`] does the same for a stream
//! that is cut into several objects, and where it is sent again,
//! [`Store::upload_chunks_noted`] sends what is missing. Down: [`Store::head`] says what is there,
//! [`Store::download`] fetches it in order, in ranges fetched ahead, and hands
//! on the last bytes only after the whole was verified; [`Store::download_row`]
//! does the same for several objects, and [`Store::thaw`] brings archived ones
//! back first.
//!
//! Every call has a time limit ([`Patience`]) and one schedule of retries; for
//! how long is the caller's argument. What fails or is dropped is removed.
//!
//! Backpressure is the structure: there are only as many bytes in memory as
//! the [`Pool`] has, and whoever finds none waits. No source needs to be
//! seekable, because a part stays in its buffer until S3 acknowledged it.
//!
//! Not here: which keys exist ([`s3up_core::Key`] is given), what is worth
//! uploading, and who may.

mod archive;
mod attributes;
mod bandwidth;
mod call;
mod chunks;
mod conditions;
mod connect;
mod cut;
mod delete;
mod dialect;
mod documents;
mod download;
mod error;
mod facts;
mod fetch;
mod hashing;
mod listing;
mod multipart;
mod orphans;
mod pace;
mod pairs;
mod parts;
mod patience;
mod pool;
mod probe;
mod put;
mod recognise;
mod replay;
mod retry;
mod sending;
mod settings;
mod sweep;
mod thaw;
mod throttle;
mod upload;

pub use archive::{ArchiveState, Tier};
pub use chunks::{Chunk, PutChunks};
pub use conditions::Conditions;
pub use connect::Store;
pub use cut::Length;
pub use delete::NotDeleted;
pub use dialect::Profile;
pub use documents::{Document, PutDocument};
pub use download::{Download, DownloadRow, Get, Piece};
pub use error::{ConnectError, Kind, StoreError, UploadError};
pub use facts::ObjectFacts;
pub use listing::{Listed, Listing};
pub use patience::Patience;
pub use pool::{Buffer, Pool, PoolError, Share};
pub use probe::Versioning;
pub use put::{Facts, Overwrite, Put, Stored};
pub use replay::{Acknowledged, Known, KnownChunk, KnownPart, Noted};
pub use settings::{
    Bandwidth, Credentials, EndpointError, Settings, Sse, SseError, parse_endpoint,
};
pub use sweep::SWEEP_AGE;
pub use thaw::{Thaw, Thawed};
pub use upload::Staged;
