//! Gives the subvolumes that a command names other UUIDs.
//!
//! `btrfs receive` finds the parent of a stream by its UUID, among all
//! subvolumes of the filesystem; where several have it, it takes any. Whoever
//! receives a chain of streams can give each of them a UUID that nothing else
//! there has.

use crate::crc::Crc;
use crate::head::attributes_at;
use crate::{Attribute, Kind, Uuid};

/// Length, kind, checksum.
const HEADER_BYTES: usize = 4 + 2 + 4;
const CHECKSUM: std::ops::Range<usize> = 6..HEADER_BYTES;

impl Kind {
    /// Whether commands of this kind name subvolumes.
    pub fn names_subvolumes(self) -> bool {
        matches!(self, Kind::Subvolume | Kind::Snapshot | Kind::Clone)
    }
}

/// `command` is a whole one, as it stands in a stream that was found sound, of
/// a kind that [names subvolumes](Kind::names_subvolumes). Each UUID in it that
/// `renamed` knows another for gets that one, and the checksum is made to fit.
pub fn rename_subvolumes(command: &mut [u8], renamed: impl Fn(Uuid) -> Option<Uuid>) {
    let Some((header, body)) = command.split_at_mut_checked(HEADER_BYTES) else { return };
    let places: Vec<_> = attributes_at(body)
        .filter(|(number, _)| {
            [Attribute::Uuid, Attribute::CloneUuid].map(Attribute::number).contains(number)
        })
        .map(|(_, place)| place)
        .collect();
    for place in places {
        let new = body[place.clone()].try_into().ok().and_then(|bytes| renamed(Uuid(bytes)));
        if let Some(Uuid(new)) = new {
            body[place].copy_from_slice(&new);
        }
    }
    header[CHECKSUM].fill(0);
    let mut crc = Crc::new();
    crc.update(header);
    crc.update(body);
    header[CHECKSUM].copy_from_slice(&crc.value().to_le_bytes());
}
