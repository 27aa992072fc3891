//! Rewrites the UUIDs of subvolumes in a command.
//!
//! `btrfs receive` looks up the parent of a stream by its UUID among all
//! subvolumes of the filesystem. If several have the same UUID, it takes any of
//! them. With rewritten UUIDs, each stream of a chain gets one that no other
//! subvolume of the filesystem has.
//!
//! A UUID alone does not identify a subvolume: snapshots of a subvolume that was
//! received and made writable all carry its received UUID. So each UUID is handed
//! out with its role and with the ctransid beside it.

use crate::attribute::Attribute;
use crate::command_head::{attribute_ranges, attributes};
use crate::encode::seal;
use crate::kind::CommandKind;
use crate::uuid::Uuid;

/// The header of a command: length, kind, checksum.
const HEADER_BYTES: usize = 4 + 2 + 4;

/// The role of a subvolume in the command that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubvolumeRole {
    /// The snapshot that the stream contains.
    Own,
    /// The snapshot that the stream is based on.
    Parent,
    /// The subvolume that file data is cloned from.
    CloneSource,
}

/// A subvolume, as a command names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedSubvolume {
    pub role: SubvolumeRole,
    pub uuid: Uuid,
    pub ctransid: Option<u64>,
}

impl CommandKind {
    /// Returns true if commands of this kind refer to subvolumes by UUID.
    pub fn holds_subvolume_uuids(self) -> bool {
        matches!(self, CommandKind::Subvolume | CommandKind::Snapshot | CommandKind::Clone)
    }
}

/// Replaces each UUID for which `replacement` returns another one, and updates
/// the checksum. `command` is one whole command of a verified stream, of a kind
/// that [holds UUIDs](CommandKind::holds_subvolume_uuids).
pub fn rewrite_uuids(command: &mut [u8], replacement: impl Fn(NamedSubvolume) -> Option<Uuid>) {
    let Some((header, body)) = command.split_at_mut_checked(HEADER_BYTES) else { return };
    let is_clone = u16::from_le_bytes([header[4], header[5]]) == CommandKind::Clone.number();
    let number = |wanted: Attribute| {
        let (_, value) = attributes(body).find(|(number, _)| *number == wanted.number())?;
        value.try_into().ok().map(u64::from_le_bytes)
    };
    let source = if is_clone { SubvolumeRole::CloneSource } else { SubvolumeRole::Parent };
    let fields = [
        (Attribute::Uuid, SubvolumeRole::Own, number(Attribute::Ctransid)),
        (Attribute::CloneUuid, source, number(Attribute::CloneCtransid)),
    ];
    for (attribute, role, ctransid) in fields {
        let found = attribute_ranges(body).find(|(number, _)| *number == attribute.number());
        let Some((_, range)) = found else { continue };
        let Ok(uuid) = body[range.clone()].try_into().map(Uuid) else { continue };
        if let Some(Uuid(new)) = replacement(NamedSubvolume { role, uuid, ctransid }) {
            body[range].copy_from_slice(&new);
        }
    }
    seal(command);
}
