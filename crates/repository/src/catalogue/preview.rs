//! A catalogue as it will be once a planned backup is published. Pure.

use std::collections::BTreeSet;

use super::{Backup, Catalogue, ManifestKey, MissingObjects, Pointing};
use crate::chain::ChainEntry;
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::names::{BackupKind, SnapshotName};

impl Catalogue {
    /// Returns the catalogue with this backup as the published one. An incremental is
    /// based on the backup that is published now; if there is none, nothing changes.
    #[must_use]
    pub fn with_published(mut self, backup: &SnapshotName, layout: &Layout) -> Catalogue {
        let parent = match (backup.kind, &self.pointer) {
            (BackupKind::Full, _) => None,
            (BackupKind::Incremental, Pointing::At(n)) => Some(*n),
            (BackupKind::Incremental, Pointing::Nothing | Pointing::Broken(_)) => return self,
        };
        let n = self.backups.len();
        let key = layout.manifest(backup);
        let parent_key = parent.map(|parent| self.backups[parent].listed.key.as_str().to_owned());
        let mut manifest = Manifest::planned(backup, parent_key);
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
        assert_eq!(planned(BackupKind::Incremental), (3, 1));
        assert_eq!(planned(BackupKind::Full), (1, 2));
    }
}
