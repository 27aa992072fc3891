//! Reads btrfs send streams, to tell a whole one from a broken one.
//!
//! `btrfs send` can exit with 0 after it wrote garbage: frozen and thawed in
//! mid-stream, the kernel starts again, and a part of a stream is followed by
//! a whole one. So the bytes are proven while they go by: a [`Verifier`] is fed
//! pieces of any size and looks at magic, version, the checksum and the form of
//! every command, at paths that would leave the subvolume, at END and at what
//! follows it. The [`Verdict`] at the end is either the [`Facts`] of the stream
//! or a [`StreamError`] that says where it went wrong.
//!
//! ```text
//!    pieces -> Verifier -> one Command after the other (feed_to)
//!                      `-> Verdict: Facts | StreamError (finish)
//! ```
//!
//! Each [`Command`] comes with its place in the stream and borrows its
//! attributes; the file data of a command is never copied or kept, only its
//! place is told. What is kept is bounded by [`HEAD_BYTES_MAX`].
//!
//! The format: <https://btrfs.readthedocs.io/en/latest/dev/dev-send-stream.html>
//!
//! Not here: I/O, decompression, and whether a path goes through a symlink of
//! the same stream, which `btrfs receive` has to refuse (`--chroot`).

mod attribute;
mod command;
mod crc;
mod error;
mod facts;
mod head;
mod kind;
mod path;
mod protocol;
mod renamed;
mod uuid;
mod verifier;

pub use attribute::Attribute;
pub use command::Command;
pub use error::{CommandPlace, Place, StreamError, Wrong};
pub use facts::{Facts, Parent, Snapshot, Time, Times, Verdict};
pub use head::HEAD_BYTES_MAX;
pub use kind::Kind;
pub use path::PathRule;
pub use protocol::{COMMAND_BYTES_MAX_V1, COMMAND_BYTES_MAX_V2, Protocol};
pub use renamed::rename_subvolumes;
pub use uuid::Uuid;
pub use verifier::Verifier;
