//! A catalogue as it will be once a planned backup is published. Pure.

use std::collections::BTreeSet;

use super::{Backup, Catalogue, ManifestKey, MissingObjects, Pointing};
use crate::chain::ChainEntry;
use crate::layout::Layout;
use crate::manifest::{Manifest, S3Record, SnapshotRecord, VERSION};
use crate::names::{Kind, SnapshotName};

impl Catalogue {
    /// Returns the catalogue with this backup as the published one. An incremental is
    /// based on the backup that is published now; if there is none, nothing changes.
    #[must_use]
    pub fn with_published(mut self, backup: &SnapshotName, layout: &Layout) -> Catalogue {
        let parent = match (backup.kind, &self.pointer) {
            (Kind::Full, _) => None,
            (Kind::Incremental, Pointing::At(n)) => Some(*n),
            (Kind::Incremental, Pointing::Nothing | Pointing::Broken(_)) => return self,
        };
        let n = self.backups.len();
        let key = layout.manifest(backup);
        let parent_key = parent.map(|parent| self.backups[parent].listed.key.as_str().to_owned());
        let mut manifest = manifest(backup, parent_key);
        if let Pointing::At(n) = &self.pointer
            && let Ok(newest) = &self.backups[*n].manifest
        {
            manifest.origin = newest.manifest.origin.clone();
            manifest.earlier_origins = newest.manifest.earlier_origins.clone();
        }
        self.backups.push(Backup {
            listed: ManifestKey { stamp: backup.stamp, kind: backup.kind, key: key.clone() },
            manifest: Ok(ChainEntry { key, manifest }),
            total_bytes: 0,
            chunk_count: 0,
            classes: BTreeSet::new(),
            absent: MissingObjects::default(),
            parent,
            full: parent.map_or(Ok(n), |parent| self.backups[parent].full.clone()),
        });
        self.pointer = Pointing::At(n);
        self
    }
}

/// Returns the part of the manifest that is known before the backup is made.
fn manifest(backup: &SnapshotName, parent_manifest: Option<String>) -> Manifest {
    Manifest {
        version: VERSION,
        subvolume: backup.subvolume.as_str().to_owned(),
        kind: backup.kind,
        created_at: backup.stamp,
        snapshot: SnapshotRecord {
            name: backup.to_string(),
            path: String::new(),
            uuid: None,
            parent_uuid: None,
            ctransid: None,
            parent_ctransid: None,
        },
        parent_manifest,
        chunks: Vec::new(),
        total_bytes: 0,
        chunk_size: 0,
        s3: S3Record { storage_class: None },
        parts: None,
        started_at: None,
        elapsed_seconds: None,
        host: None,
        tool: None,
        kernel: None,
        btrfs_progs: None,
        node_bytes: None,
        largest_xattr_bytes: None,
        stream_protocol: None,
        needs_btrfs_progs: None,
        parent_received: false,
        unplanned_full: None,
        origin: None,
        earlier_origins: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::{TestListing, data, layout, stamp};

    #[test]
    fn a_planned_backup_becomes_the_published_one() {
        let mut listed = TestListing::default();
        listed.full(0).incremental(1, 0).points_to(1);
        let planned = |kind| {
            let backup = SnapshotName { subvolume: data(), stamp: stamp(5), kind };
            let catalogue = listed.catalogue().with_published(&backup, &layout());
            let chain = catalogue.current().unwrap().unwrap().len();
            (chain, catalogue.generations().len())
        };
        assert_eq!(planned(Kind::Incremental), (3, 1));
        assert_eq!(planned(Kind::Full), (1, 2));
    }
}
