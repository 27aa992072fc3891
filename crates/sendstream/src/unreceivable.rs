//! Finds the commands of a sound stream that no receiver may be able to execute.
//!
//! The kernel sends paths and extended attributes that another host cannot create: `btrfs
//! receive` puts the name of the snapshot before each path, and a filesystem with smaller
//! metadata blocks has no room for a large attribute.

use crate::attribute::Attribute;
use crate::command::Command;
use crate::kind::CommandKind;
use crate::summary::{LargeXattr, Unreceivable};

/// Paths up to this length can be received everywhere: the limit of the kernel is 4,095 bytes, and
/// the name of a snapshot has at most 255.
pub const PATH_BYTES_ANYWHERE: usize = 4095 - 255 - 4;
/// Name and value of an extended attribute up to this length can be received everywhere: they fit
/// into the default metadata block of 16 KiB (`BTRFS_MAX_XATTR_SIZE`).
pub const XATTR_BYTES_ANYWHERE: u64 = xattr_bytes_max(16 << 10);

/// Returns the maximum length of the name and the value of an extended attribute on a filesystem
/// with metadata blocks of this size.
pub const fn xattr_bytes_max(node_bytes: u64) -> u64 {
    /// btrfs_header, btrfs_item and btrfs_dir_item in the kernel's btrfs_tree.h.
    const HEADERS: u64 = 101 + 25 + 30;
    node_bytes.saturating_sub(HEADERS)
}

impl Unreceivable {
    pub(crate) fn add(&mut self, command: &Command<'_>) {
        for (attribute, value) in command.attributes() {
            let is_path = matches!(attribute, Attribute::Path | Attribute::PathTo);
            let longest = self.path.as_ref().map_or(PATH_BYTES_ANYWHERE, Vec::len);
            if is_path && value.len() > longest {
                self.path = Some(value.to_vec());
            }
        }
        if command.kind != CommandKind::SetXattr {
            return;
        }
        let value = |attribute| command.bytes(attribute).unwrap_or_default();
        let name = value(Attribute::XattrName);
        let bytes = (name.len() + value(Attribute::XattrData).len()) as u64;
        if bytes > self.xattr.as_ref().map_or(XATTR_BYTES_ANYWHERE, |largest| largest.bytes) {
            let path = command.path().unwrap_or_default().to_vec();
            self.xattr = Some(LargeXattr { path, name: name.to_vec(), bytes });
        }
    }
}
