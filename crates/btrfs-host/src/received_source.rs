//! Warns of a source subvolume that was received and then made writable.
//!
//! It keeps its received UUID, which all its snapshots inherit and `btrfs send` writes in
//! place of their own. A stream then names the snapshot and its parent by the same UUID, and
//! `btrfs receive` takes one for the other. (`btrfs property set` removes the received UUID
//! since btrfs-progs 5.14.2.)

use std::path::Path;

use s3up_core::error_chain;

use crate::subvolume;
use crate::tool::Btrfs;

pub async fn warn(btrfs: &Btrfs, name: &str, path: &Path) {
    match subvolume::show(btrfs, path).await {
        Ok(shown) => {
            if let (Some(uuid), false) = (shown.received_uuid, shown.is_read_only) {
                tracing::warn!(
                    event = "source_received",
                    subvolume = %name,
                    received_uuid = %uuid,
                    "the subvolume was received and then made writable, so all its snapshots have \
                     this UUID: only btrfs-to-s3 can restore its incrementals, `btrfs receive` by \
                     hand cannot; to fix this, replace the subvolume with a writable snapshot of it"
                );
            }
        }
        Err(err) => tracing::warn!(
            event = "source_check_failed",
            subvolume = %name,
            "{}",
            error_chain(&err)
        ),
    }
}
