//! Builds streams by hand, with correct checksums.

use btrfs_sendstream::{Attribute, CommandKind};

pub const UUID: [u8; 16] = [7; 16];
pub const PARENT_UUID: [u8; 16] = [8; 16];

pub fn header(version: u32) -> Vec<u8> {
    [&b"btrfs-stream\0"[..], &version.to_le_bytes()].concat()
}

/// Encodes an attribute with its type and its length.
pub fn attribute(attribute: Attribute, value: &[u8]) -> Vec<u8> {
    raw_attribute(attribute.number(), value)
}

pub fn raw_attribute(number: u16, value: &[u8]) -> Vec<u8> {
    let bytes = u16::try_from(value.len()).expect("a value of at most 64 KiB");
    [&number.to_le_bytes()[..], &bytes.to_le_bytes(), value].concat()
}

/// Encodes file data as in protocol 2.
pub fn data_without_length(value: &[u8]) -> Vec<u8> {
    [&Attribute::Data.number().to_le_bytes()[..], value].concat()
}

pub fn command(kind: CommandKind, attributes: &[Vec<u8>]) -> Vec<u8> {
    raw_command(kind.number(), &attributes.concat())
}

pub fn raw_command(kind: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("a body of at most 4 GiB");
    let mut bytes = [&len.to_le_bytes()[..], &kind.to_le_bytes(), &[0; 4], body].concat();
    let crc = crc32c(&bytes);
    bytes[6..10].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub fn subvolume(name: &str) -> Vec<u8> {
    command(
        CommandKind::Subvolume,
        &[
            attribute(Attribute::Path, name.as_bytes()),
            attribute(Attribute::Uuid, &UUID),
            attribute(Attribute::Ctransid, &5u64.to_le_bytes()),
        ],
    )
}

pub fn snapshot(name: &str) -> Vec<u8> {
    command(
        CommandKind::Snapshot,
        &[
            attribute(Attribute::Path, name.as_bytes()),
            attribute(Attribute::Uuid, &UUID),
            attribute(Attribute::Ctransid, &5u64.to_le_bytes()),
            attribute(Attribute::CloneUuid, &PARENT_UUID),
            attribute(Attribute::CloneCtransid, &4u64.to_le_bytes()),
        ],
    )
}

pub fn end() -> Vec<u8> {
    command(CommandKind::End, &[])
}

/// Builds a full stream that contains these commands.
pub fn stream(version: u32, commands: &[Vec<u8>]) -> Vec<u8> {
    [header(version), subvolume("data"), commands.concat(), end()].concat()
}

/// Computes the checksum bit by bit, so that it shares no code with the verifier.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, byte| {
        let start = crc ^ u32::from(*byte);
        (0..8).fold(start, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}
