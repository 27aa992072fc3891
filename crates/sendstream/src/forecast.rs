//! Forecasts the length of a stream from the same stream without its data.
//!
//! `btrfs send --no-data` writes all commands of a stream, but an `update_extent` with
//! offset and length in place of the data. The kernel cuts the data of an extent into
//! `write` commands of a fixed length, so the length of the whole stream follows. Clones
//! and punched holes are commands of their own in both streams, so they count as they
//! will be sent. Compressed data that is sent as it is on disk is the exception: its
//! length on disk is not in the stream, and the forecast is an upper limit.

use crate::attribute::Attribute;
use crate::command::Command;
use crate::kind::CommandKind;
use crate::protocol::Protocol;

/// Most data in one `write` command: `max_send_read_size` in the kernel's send.c.
const WRITE_BYTES_V1: u64 = 48 << 10;
const WRITE_BYTES_V2: u64 = 128 << 10;
/// Header of a command, then the attributes of a `write` without their values: path,
/// offset with its value, and data, whose length field protocol 2 omits.
const WRITE_OVERHEAD_V1: u64 = 10 + 4 + 12 + 4;
const WRITE_OVERHEAD_V2: u64 = 10 + 4 + 12 + 2;
/// Magic and version.
const STREAM_HEADER_BYTES: u64 = 17;

/// Forecast of one stream, added up from its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Length of the stream.
    pub stream_bytes: u64,
    /// Bytes of file data in it.
    pub data_bytes: u64,
    /// Number of extents whose data is sent.
    pub extents: u64,
    protocol: Protocol,
}

impl Forecast {
    pub fn new(protocol: Protocol) -> Forecast {
        Forecast { stream_bytes: STREAM_HEADER_BYTES, data_bytes: 0, extents: 0, protocol }
    }

    pub fn add(&mut self, command: &Command<'_>) {
        let length =
            command.number(Attribute::Size).filter(|_| command.kind == CommandKind::UpdateExtent);
        let Some(length) = length else {
            let bytes = command.range.end - command.range.start;
            self.stream_bytes = self.stream_bytes.saturating_add(bytes);
            return;
        };
        let path_bytes = command.path().map_or(0, <[u8]>::len) as u64;
        let (write_bytes, overhead) = match self.protocol {
            Protocol::V1 => (WRITE_BYTES_V1, WRITE_OVERHEAD_V1),
            Protocol::V2 => (WRITE_BYTES_V2, WRITE_OVERHEAD_V2),
        };
        let writes = length.div_ceil(write_bytes);
        let commands = writes.saturating_mul(overhead + path_bytes);
        self.stream_bytes = self.stream_bytes.saturating_add(length).saturating_add(commands);
        self.data_bytes = self.data_bytes.saturating_add(length);
        self.extents += 1;
    }
}
