//! An index of a btrfs send stream: which file has which name, metadata and byte ranges.
//!
//! With it, one file is found in a chain of streams, and restored, without reading the rest.
//!
//! ```text
//!    commands of the verifier -> IndexBuilder -> Sorter -> TableWriter -> an index
//!    indexes of a chain -> Table -> IndexChain: lookup, listing, content of a file
//! ```
//!
//! An index is a delta, like its stream. It names files of the parent by their path there, and is
//! read together with the indexes of the chain ([`chain`]). It is derived from the stream: an
//! index that is lost or damaged can be built again.
//!
//! Not here: S3, and reading the data that an index leads to.

pub mod builder;
pub mod chain;
mod codec;
pub mod operation;
pub mod record;
pub mod sort;
pub mod table;

pub use builder::{BuildError, IndexBuilder, MemoryLimits};
pub use codec::Malformed;
pub use record::{FileMetadata, FileType};
pub use table::directory::StreamId;
pub use table::read::{ReadAt, Table};
pub use table::write::IndexFacts;
pub use table::{TRAILER_BYTES, TableError};
