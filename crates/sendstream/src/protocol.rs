//! The protocol versions that this crate knows.

use std::fmt;

/// Size of the kernel's buffer (`BTRFS_SEND_BUF_SIZE_V1`): "in send stream v1,
/// no command is larger than 64K", including its header.
pub const COMMAND_BYTES_MAX_V1: u64 = 64 * 1024;

/// The kernel's own buffer is 144 KiB (`BTRFS_SEND_BUF_SIZE_V2`, 192 KiB with
/// pages of 64 KiB), but "in send stream v2, no limit should be assumed". This
/// limit leaves room for extents that are a hundred times larger. A length above
/// it is garbage, and is refused at once instead of gigabytes later.
pub const COMMAND_BYTES_MAX_V2: u64 = 16 * 1024 * 1024;

/// A version of the protocol. Version 3 exists only in kernels built for
/// debugging. It is refused, since no restore of it could be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    V1,
    V2,
}

impl Protocol {
    pub fn from_version(version: u32) -> Option<Protocol> {
        match version {
            1 => Some(Protocol::V1),
            2 => Some(Protocol::V2),
            _ => None,
        }
    }

    pub fn version(self) -> u32 {
        match self {
            Protocol::V1 => 1,
            Protocol::V2 => 2,
        }
    }

    /// Maximum length of a command, including its header.
    pub fn command_bytes_max(self) -> u64 {
        match self {
            Protocol::V1 => COMMAND_BYTES_MAX_V1,
            Protocol::V2 => COMMAND_BYTES_MAX_V2,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version().fmt(f)
    }
}
