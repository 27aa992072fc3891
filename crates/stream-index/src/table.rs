//! The container of an index: a sorted table in compressed blocks that are read alone.
//!
//! ```text
//! header      8 bytes "s3upidx\0", version (4 bytes, little-endian)
//! blocks      one after the other
//! directory   the first key, lengths, form and SHA-256 of each block
//! trailer     offset and length of the directory (8 bytes each), its SHA-256, version, "s3upidx\0"
//! ```
//!
//! The directory says the form of each block, so that a later version may encrypt blocks one by
//! one. A block of an unknown form is refused, and its index is not taken for damaged. A block is
//! used only after its SHA-256 agreed.

pub mod block;
pub mod cache;
pub mod directory;
pub mod read;
pub mod write;

pub const MAGIC: &[u8; 8] = b"s3upidx\0";
pub const VERSION: u32 = 1;
pub const HEADER_BYTES: u64 = 12;
/// Offset, length, SHA-256, version and magic.
pub const TRAILER_BYTES: u64 = 8 + 8 + 32 + 4 + 8;
/// Content of a block before it is compressed: enough for good compression, and little to read
/// for one record.
pub const BLOCK_BYTES: usize = 64 << 10;
/// A directory of this length describes some 500 million files.
pub const DIRECTORY_BYTES_MAX: u64 = 256 << 20;
/// Maximum length of the content of a block. A record is never longer: an extended attribute has at
/// most 64 KiB.
pub const BLOCK_BYTES_MAX: u64 = 16 << 20;
/// Maximum length of a block in the file. What cannot be compressed gets a little longer.
pub const STORED_BYTES_MAX: u64 = BLOCK_BYTES_MAX + (1 << 20);

/// The reason why an index cannot be used. It names the index.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("read the index {name}")]
    Unreadable { name: String, source: std::io::Error },
    #[error(
        "the index {name} is damaged: expected {expected}, found {found}; build it again with \
         `index --build`"
    )]
    Damaged { name: String, expected: String, found: String },
    #[error(
        "the index {name}: expected version {VERSION}, found version {found}; use a newer version \
         of btrfs-to-s3"
    )]
    Version { name: String, found: u32 },
    #[error(
        "the index {name}: expected blocks of form 1 (zstd), found one of form {found}; use a newer \
         version of btrfs-to-s3"
    )]
    Form { name: String, found: u8 },
    #[error(
        "a record of an index is damaged; build the indexes of the chain again with `index --build`"
    )]
    Malformed(#[from] crate::codec::Malformed),
}

impl TableError {
    /// Returns true if the index was read and has to be built again.
    pub fn is_damage(&self) -> bool {
        match self {
            TableError::Damaged { .. } | TableError::Malformed(_) => true,
            TableError::Unreadable { .. }
            | TableError::Version { .. }
            | TableError::Form { .. } => false,
        }
    }
}
