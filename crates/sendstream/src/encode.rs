//! Encodes commands, with a correct checksum.
//!
//! A receiver is fed with the bytes of a stream, but not only with them: some commands are
//! executed at another place than the one where they were sent.

use crate::attribute::Attribute;
use crate::crc::Crc;
use crate::kind::CommandKind;
use crate::protocol::Protocol;

const MAGIC: &[u8; 13] = b"btrfs-stream\0";
/// The header of a command: length, kind, checksum.
const HEADER_BYTES: usize = 4 + 2 + 4;
const CHECKSUM: std::ops::Range<usize> = 6..HEADER_BYTES;

/// An attribute whose value is longer than its length field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encode the attribute {attribute}: expected at most 65535 bytes, found {bytes}")]
pub struct AttributeTooLong {
    pub attribute: Attribute,
    pub bytes: usize,
}

/// Returns the beginning of a stream, before its first command.
pub fn stream_header(protocol: Protocol) -> Vec<u8> {
    [&MAGIC[..], &protocol.version().to_le_bytes()].concat()
}

/// Encodes a command without file data, which both protocols write in the same way.
pub fn command(
    kind: CommandKind,
    attributes: &[(Attribute, &[u8])],
) -> Result<Vec<u8>, AttributeTooLong> {
    let mut bytes = vec![0; HEADER_BYTES];
    for (attribute, value) in attributes {
        let too_long = |_| AttributeTooLong { attribute: *attribute, bytes: value.len() };
        let length = u16::try_from(value.len()).map_err(too_long)?;
        bytes.extend_from_slice(&attribute.number().to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(value);
    }
    // A command has at most 31 attributes of 64 KiB.
    let body_bytes = (bytes.len() - HEADER_BYTES) as u32;
    bytes[..4].copy_from_slice(&body_bytes.to_le_bytes());
    bytes[4..6].copy_from_slice(&kind.number().to_le_bytes());
    seal(&mut bytes);
    Ok(bytes)
}

/// Writes the checksum of a whole command into its header.
pub(crate) fn seal(command: &mut [u8]) {
    let Some(checksum) = command.get_mut(CHECKSUM) else { return };
    checksum.fill(0);
    let mut crc = Crc::new();
    crc.update(command);
    command[CHECKSUM].copy_from_slice(&crc.value().to_le_bytes());
}
