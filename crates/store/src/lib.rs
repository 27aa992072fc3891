//! The object store engine: the only crate that speaks S3.
//!
//! Uploads: [`Store::stage`] splits a stream into parts in pooled buffers, and
//! hashes each part while it is sent and the next one is read. It returns when
//! S3 holds every byte and nothing is visible yet; [`StagedUpload::commit`] makes
//! the object visible. [`Store::upload_chunks`] splits a stream into several
//! objects, and [`Store::upload_chunks_resumable`] skips the parts that an
//! earlier attempt uploaded.
//!
//! Downloads: [`Store::head`] describes an object, and [`Store::download`] reads
//! it in order with ranges fetched ahead. The last bytes are returned only after
//! the whole object was verified. [`Store::download_sequence`] reads several
//! objects as one stream, and [`Store::thaw`] makes archived ones readable.
//!
//! Every call has a time limit ([`Timeouts`]) and the same retry schedule; the
//! caller says for how long to retry. An upload of one object that fails or is
//! dropped is aborted in a detached task. A chunked upload leaves its complete chunks, and one that can be
//! resumed also its parts.
//!
//! Memory is bounded: there are only as many part buffers as the [`Pool`] has,
//! and an upload that finds none waits. No source has to be seekable, because a
//! part stays in its buffer until S3 acknowledged it.
//!
//! Not here: the names of keys ([`s3up_core::Key`] is a parameter), what is worth
//! uploading, and who may upload it.

mod archive;
mod buffers;
mod clock;
mod documents;
mod download;
mod error;
mod not_aborted;
mod objects;
mod open_uploads;
mod overwrite;
mod probes;
mod settings;
mod transport;
mod upload;

pub use archive::state::{ArchiveState, Tier};
pub use archive::thaw::{ThawRequest, ThawedObject};
pub use buffers::buffer::Buffer;
pub use buffers::pool::{Pool, PoolError, Share};
pub use documents::{Document, PutDocument};
pub use download::get::Get;
pub use download::sequence::{Download, DownloadSequence, ObjectBytes};
pub use error::{ConnectError, Operation, StoreError, StoreErrorKind, UploadError};
pub use objects::delete::NotDeleted;
pub use objects::directory::DirectoryPage;
pub use objects::etag::is_reported as is_etag_reported;
pub use objects::facts::ObjectFacts;
pub use objects::listing::{Listed, ListedPage, ObjectListing};
pub use objects::proof::ObjectProof;
pub use objects::replace_metadata::COPY_BYTES_MAX;
pub use objects::short_object::{SHORT_BYTES_MAX, ShortObject};
pub use objects::versions::{ObjectVersion, VersionMarker, VersionPage};
pub use overwrite::Overwrite;
pub use probes::expiry::{AcceptedRule, ExpiryRule, ExpiryRules, OldVersionRule, VersionExpiry};
pub use probes::findings::{Finding, Subject, condition_findings, findings};
pub use probes::lifecycle::AbortRule;
pub use probes::upload::ProbeUpload;
pub use settings::timeouts::Timeouts;
pub use settings::{
    Bandwidth, Credentials, EndpointError, Profile, Settings, Sse, SseError, parse_endpoint,
};
pub use transport::call_counters::{CallTotal, CallTotals};
pub use transport::capabilities::{
    Archive, Capabilities, Condition, Conditions, ListingOrder, Reported, Verifications, Verified,
    Versioning,
};
pub use transport::connect::Store;
pub use transport::latencies::Latencies;
pub use upload::chunk::{Chunk, PutChunks};
pub use upload::part_splitter::Length;
pub use upload::put::{Facts, Put, Stored};
pub use upload::resume_log::{
    AlreadyUploaded, ProgressEvent, ResumeLog, UploadedChunk, UploadedPart,
};
pub use upload::staged::StagedUpload;
pub use upload::sweep::{AbandonedUpload, AbandonedUploads, SWEEP_AGE};
