//! The defects of a stream, each with its offset.

use std::fmt;

use crate::attribute::Attribute;
use crate::kind::CommandKind;
use crate::path::StreamPathRule;
use crate::protocol::Protocol;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("send stream, {location}: {defect}")]
pub struct StreamError {
    pub location: StreamLocation,
    pub defect: Defect,
}

/// A location in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLocation {
    /// Offset of the command that is wrong. Where the stream ends too early or
    /// continues after its end, this is the offset of that end.
    pub offset: u64,
    pub command: Option<CommandLocation>,
}

/// A command, identified by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandLocation {
    /// Number of the command; the one that names the snapshot is 1.
    pub nth: u64,
    /// Kind of the command as the stream gives it, known or not.
    pub kind: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("expected the magic bytes of a btrfs send stream, found {found:?}")]
    WrongMagic { found: String },
    #[error("expected protocol version 1 or 2, found {0}")]
    UnknownVersion(u32),
    #[error("expected the next command before END, found the header of a second stream")]
    SecondStreamHeader,
    #[error("expected a command of at most {limit} bytes, found {bytes}")]
    CommandTooLong { bytes: u64, limit: u64 },
    #[error("expected CRC32C {expected:08x}, found {found:08x}")]
    WrongChecksum { expected: u32, found: u32 },
    #[error("expected a command of protocol version {0}, found an unknown one")]
    UnknownCommand(Protocol),
    #[error("expected an attribute of protocol version {protocol}, found number {number}")]
    UnknownAttribute { number: u16, protocol: Protocol },
    #[error("expected a whole attribute, found only {left} more bytes in the command")]
    AttributeTruncated { left: u64 },
    #[error("expected the attribute {0} once, found it twice")]
    DuplicateAttribute(Attribute),
    #[error("expected the file data at the end of the command, found more attributes after it")]
    DataNotLast,
    #[error("expected at most {limit} bytes of attributes, found {bytes}")]
    HeadTooLong { bytes: u64, limit: u64 },
    #[error("expected the attribute {0}, found none")]
    MissingAttribute(Attribute),
    #[error("expected {expected} bytes in the attribute {attribute}, found {bytes}")]
    WrongAttributeLength { attribute: Attribute, bytes: usize, expected: usize },
    #[error("expected {rule} in the attribute {attribute}, found {text:?}")]
    InvalidPath { attribute: Attribute, text: String, rule: StreamPathRule },
    #[error("expected a subvolume or a snapshot as the first command")]
    MissingSnapshotCommand,
    #[error("expected one subvolume per stream, found a second one")]
    SecondSubvolume,
    #[error("expected file data, found a stream of `btrfs send --no-data`, which has none")]
    NoData,
    #[error("expected more commands before END, found the end of the stream")]
    Truncated,
    #[error("expected the end of the stream after END, found more bytes")]
    DataAfterEnd,
}

impl fmt::Display for StreamLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        match self.command {
            None => Ok(()),
            Some(CommandLocation { nth, kind }) => {
                write!(f, ", command {nth} ")?;
                // The newest protocol knows the commands of the older ones too.
                match CommandKind::from_number(kind, Protocol::V2) {
                    Some(kind) => write!(f, "({kind})"),
                    None => write!(f, "(number {kind})"),
                }
            }
        }
    }
}
