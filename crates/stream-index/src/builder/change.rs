//! Translates commands about the content of a file into operations of the index.

use btrfs_sendstream::{Attribute, Command, CommandKind, Snapshot};

use super::error::BuildError;
use super::name_table::NameTable;
use crate::operation::{Change, CloneSource, EncodedWrite};
use crate::record::FileType;

/// The bit of the fallocate mode that makes a hole.
const PUNCH_HOLE: u64 = 2;

/// Returns the change that a command makes; `None` if it changes no content.
pub(super) fn change_of(
    command: &Command<'_>,
    snapshot: Option<&Snapshot>,
    names: &mut NameTable,
) -> Result<Option<Change>, BuildError> {
    use Attribute::{
        CloneLen, CloneOffset, Compression, Encryption, FallocateMode, FileOffset, Size,
        UnencodedFileLen, UnencodedLen, UnencodedOffset, XattrData, XattrName,
    };
    let number = |attribute| command.number(attribute).unwrap_or_default();
    let text = |attribute| command.bytes(attribute).unwrap_or_default().to_vec();
    let offset = number(FileOffset);
    let data = command.data.clone().unwrap_or_default();
    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller passes no other commands")]
    let change = match command.kind {
        CommandKind::Write => Change::Write { offset, data },
        CommandKind::EncodedWrite if number(Encryption) != 0 => {
            return Err(BuildError::Unsupported { what: "encrypted data" });
        }
        CommandKind::EncodedWrite => Change::EncodedWrite(EncodedWrite {
            offset,
            length: number(UnencodedFileLen),
            data,
            decoded_length: number(UnencodedLen),
            skip: number(UnencodedOffset),
            compression: number(Compression) as u32,
        }),
        CommandKind::Clone => Change::Clone {
            offset,
            length: number(CloneLen),
            source: clone_source(command, snapshot, names)?,
            source_offset: number(CloneOffset),
        },
        CommandKind::Truncate => Change::Truncate { length: number(Size) },
        CommandKind::Fallocate if number(FallocateMode) & PUNCH_HOLE != 0 => {
            Change::Hole { offset, length: number(Size) }
        }
        // Preallocation changes no content, and the kernel sends none.
        CommandKind::Fallocate => return Ok(None),
        CommandKind::SetXattr => Change::SetXattr { name: text(XattrName), value: text(XattrData) },
        CommandKind::RemoveXattr => Change::RemoveXattr { name: text(XattrName) },
        _ => return Ok(None),
    };
    Ok(Some(change))
}

fn clone_source(
    command: &Command<'_>,
    snapshot: Option<&Snapshot>,
    names: &mut NameTable,
) -> Result<CloneSource, BuildError> {
    let path = command.bytes(Attribute::ClonePath).unwrap_or_default();
    let uuid = command.uuid(Attribute::CloneUuid);
    let snapshot = snapshot.ok_or(BuildError::Unfinished)?;
    let is_own = uuid == Some(snapshot.uuid);
    let is_parent = snapshot.parent.is_some_and(|parent| Some(parent.uuid) == uuid);
    match (is_own, is_parent) {
        (true, false) => names.clone_source(path),
        (false, true) => Ok(CloneSource::Parent { path: path.to_vec() }),
        (true, true) => Err(BuildError::Unsupported {
            what: "clones while the snapshot and its parent have the same UUID",
        }),
        (false, false) => Err(BuildError::Unsupported { what: "a clone of another snapshot" }),
    }
}

/// Returns the type of a device by the mode that the kernel sends.
pub(super) fn device_type(mode: u64) -> FileType {
    const TYPE_MASK: u64 = 0o170000;
    const BLOCK: u64 = 0o060000;
    if mode & TYPE_MASK == BLOCK { FileType::BlockDevice } else { FileType::CharDevice }
}
