//! Warns of what a stream contains that not every host can restore.

use btrfs_host::filesystem;
use btrfs_host::receivable;
use btrfs_sendstream::{LargeXattr, StreamSummary, Unreceivable};
use s3up_repository::names::SubvolumeName;
use std::path::Path;

/// Limit of the kernel for a path: PATH_MAX without the final NUL.
const PATH_BYTES_MAX: usize = 4095;

/// Warns of a path and of an extended attribute of a stream that was sent.
pub fn warn(name: &SubvolumeName, facts: &StreamSummary, node_bytes: Option<u64>) {
    let Unreceivable { path, xattr } = &facts.unreceivable;
    if let Some(path) = path.as_ref().filter(|path| !is_receivable(path, &facts.snapshot.name)) {
        tracing::warn!(
            event = "path_too_long",
            subvolume = %name,
            path = %path.escape_ascii(),
            bytes = path.len(),
            "`btrfs receive` cannot create this path, so this backup cannot be restored: move or \
             rename it, and make a full"
        );
    }
    if let Some(LargeXattr { path, name: xattr, bytes }) = xattr {
        tracing::warn!(
            event = "xattr_too_large",
            subvolume = %name,
            path = %path.escape_ascii(),
            xattr = %xattr.escape_ascii(),
            bytes,
            node_bytes = node_bytes.unwrap_or_default(),
            "this extended attribute can only be restored to a filesystem with metadata blocks that \
             are as large as here (`mkfs.btrfs --nodesize`)"
        );
    }
}

/// Returns true if `btrfs receive` can create a path: it puts the name of the snapshot and three
/// slashes before it, and keeps a byte free.
fn is_receivable(path: &[u8], snapshot: &[u8]) -> bool {
    path.len() + snapshot.len() + 4 <= PATH_BYTES_MAX
}

/// Returns the size of the metadata blocks of the filesystem of a snapshot, if it is known.
pub fn node_bytes(snapshot: &Path) -> Option<u64> {
    receivable::node_bytes(&filesystem::on_btrfs(snapshot).ok()?.mount.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_to_leave_room_for_the_name_of_the_snapshot() {
        for (path, snapshot, want) in [(4063, 28, true), (4064, 28, false), (1, 255, true)] {
            assert_eq!(is_receivable(&vec![b'x'; path], &vec![b'x'; snapshot]), want);
        }
    }
}
