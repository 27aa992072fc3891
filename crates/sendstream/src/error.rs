//! What can be wrong with a stream, and where.

use std::fmt;

use crate::{Attribute, PathRule};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("send stream, {place}: {wrong}")]
pub struct StreamError {
    pub place: Place,
    pub wrong: Wrong,
}

/// Where in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the command starts, or where the stream ends or goes on although
    /// it should not.
    pub offset: u64,
    pub command: Option<CommandPlace>,
}

/// Which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandPlace {
    /// The command that names the snapshot is number 1.
    pub nth: u64,
    /// As it stands in the stream, known or not.
    pub kind: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("it does not start like a btrfs send stream")]
    Magic,
    #[error("protocol version {0} is unknown, only 1 and 2 are known")]
    Version(u32),
    #[error("a second stream starts before END")]
    SecondHeader,
    #[error("the command is {bytes} bytes long, the limit is {limit}")]
    TooLong { bytes: u64, limit: u64 },
    #[error("the CRC32C of its bytes is {found:08x}, expected {expected:08x}")]
    Checksum { expected: u32, found: u32 },
    #[error("this protocol has no such command")]
    UnknownCommand,
    #[error("this protocol has no attribute {0}")]
    UnknownAttribute(u16),
    #[error("an attribute does not fit into the last {left} bytes of the command")]
    AttributeCut { left: u64 },
    #[error("the attribute {0} is there twice")]
    AttributeTwice(Attribute),
    #[error("the file data does not end the command")]
    DataNotLast,
    #[error("the attributes are {bytes} bytes long, the limit is {limit}")]
    HeadTooLong { bytes: u64, limit: u64 },
    #[error("the attribute {0} is missing")]
    AttributeMissing(Attribute),
    #[error("the attribute {attribute} is {bytes} bytes long, expected {expected}")]
    AttributeLength { attribute: Attribute, bytes: usize, expected: usize },
    #[error("the attribute {attribute} is {text:?}: {rule}")]
    Path { attribute: Attribute, text: String, rule: PathRule },
    #[error("the stream does not start with a subvolume or a snapshot")]
    NotFirst,
    #[error("a second subvolume in one stream")]
    SecondSubvolume,
    #[error("the stream was made with `--no-data` and cannot be restored")]
    NoData,
    #[error("the stream ends here, before END")]
    Truncated,
    #[error("the stream goes on after END")]
    AfterEnd,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        match self.command {
            None => Ok(()),
            Some(CommandPlace { nth, kind }) => {
                write!(f, ", command {nth} ")?;
                // The newest protocol has the names of all others.
                match crate::Kind::from_number(kind, crate::Protocol::V2) {
                    Some(kind) => write!(f, "({kind})"),
                    None => write!(f, "(number {kind})"),
                }
            }
        }
    }
}
