//! Rewrites the UUIDs of subvolumes in a command.
//!
//! `btrfs receive` looks up the parent of a stream by its UUID among all
//! subvolumes of the filesystem. If several have the same UUID, it takes any of
//! them. With rewritten UUIDs, each stream of a chain gets one that no other
//! subvolume of the filesystem has.

use crate::attribute::Attribute;
use crate::command_head::attribute_ranges;
use crate::crc::Crc;
use crate::kind::Kind;
use crate::uuid::Uuid;

/// Length, kind, checksum.
const HEADER_BYTES: usize = 4 + 2 + 4;
const CHECKSUM: std::ops::Range<usize> = 6..HEADER_BYTES;

impl Kind {
    /// Returns whether commands of this kind refer to subvolumes by UUID.
    pub fn holds_subvolume_uuids(self) -> bool {
        matches!(self, Kind::Subvolume | Kind::Snapshot | Kind::Clone)
    }
}

/// Replaces each UUID for which `replacement` returns another one, and updates
/// the checksum. `command` is one whole command of a verified stream, of a kind
/// that [holds UUIDs](Kind::holds_subvolume_uuids).
pub fn rewrite_uuids(command: &mut [u8], replacement: impl Fn(Uuid) -> Option<Uuid>) {
    let Some((header, body)) = command.split_at_mut_checked(HEADER_BYTES) else { return };
    let ranges: Vec<_> = attribute_ranges(body)
        .filter(|(number, _)| {
            [Attribute::Uuid, Attribute::CloneUuid].map(Attribute::number).contains(number)
        })
        .map(|(_, range)| range)
        .collect();
    for range in ranges {
        let new = body[range.clone()].try_into().ok().and_then(|bytes| replacement(Uuid(bytes)));
        if let Some(Uuid(new)) = new {
            body[range].copy_from_slice(&new);
        }
    }
    header[CHECKSUM].fill(0);
    let mut crc = Crc::new();
    crc.update(header);
    crc.update(body);
    header[CHECKSUM].copy_from_slice(&crc.value().to_le_bytes());
}
