//! A command that has not arrived completely.

use crate::crc::Crc;

/// The header of a command: length, kind, checksum.
pub(super) const COMMAND_HEADER_BYTES: usize = 4 + 2 + 4;

/// A command of which only the header was read so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingCommand {
    pub start: u64,
    pub kind: u16,
    pub body_bytes: usize,
    pub crc_expected: u32,
    /// Checksum of the bytes read so far.
    pub crc: Crc,
}

impl PendingCommand {
    /// Returns the offset of the first byte after the command.
    pub fn end(&self) -> u64 {
        self.start + (COMMAND_HEADER_BYTES + self.body_bytes) as u64
    }
}
