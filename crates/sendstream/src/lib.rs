//! Verifies btrfs send streams.
//!
//! `btrfs send` can exit with 0 after it wrote garbage. For example, after the
//! host was suspended and resumed, the kernel starts over, and part of a stream
//! is followed by a whole one. So a [`Verifier`] checks the bytes while they
//! pass: magic, version, the checksum and format of every command, paths that
//! would leave the subvolume, and that END comes last. It accepts pieces of any
//! size. The final [`StreamVerdict`] is a [`StreamSummary`], or a [`StreamError`] that
//! says what is wrong at which offset.
//!
//! ```text
//!    pieces -> Verifier -> one Command after the other (feed_to)
//!                      `-> StreamVerdict: StreamSummary or StreamError (finish)
//! ```
//!
//! Each [`Command`] has its byte range in the stream and borrows its attributes.
//! File data is never copied or buffered, only its range is reported. The buffer
//! is bounded by [`HEAD_BYTES_MAX`].
//!
//! The format: <https://btrfs.readthedocs.io/en/latest/dev/dev-send-stream.html>
//!
//! Not here: I/O, decompression, and paths that lead through a symlink of the
//! same stream, which `btrfs receive --chroot` has to refuse.

mod attribute;
mod command;
mod command_head;
mod crc;
pub mod encode;
mod error;
mod forecast;
mod kind;
mod path;
mod progs_release;
mod protocol;
mod summary;
pub mod trial;
mod unreceivable;
mod uuid;
mod uuid_rewrite;
mod verifier;

pub use attribute::Attribute;
pub use command::Command;
pub use command_head::HEAD_BYTES_MAX;
pub use error::{CommandLocation, Defect, StreamError, StreamLocation};
pub use forecast::Forecast;
pub use kind::CommandKind;
pub use path::StreamPathRule;
pub use progs_release::{PROTOCOL_2_FROM, ProgsRelease};
pub use protocol::{COMMAND_BYTES_MAX_V1, COMMAND_BYTES_MAX_V2, Protocol};
pub use summary::{
    LargeXattr, Parent, Snapshot, StreamSummary, StreamVerdict, Time, Times, Unreceivable,
};
pub use unreceivable::{XATTR_BYTES_ANYWHERE, xattr_bytes_max};
pub use uuid::Uuid;
pub use uuid_rewrite::{NamedSubvolume, SubvolumeRole, rewrite_uuids};
pub use verifier::Verifier;
