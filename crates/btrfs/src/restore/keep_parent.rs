//! Keeps the received snapshot as the parent of the next incremental.

use std::path::{Path, PathBuf};

use btrfs_host::filesystem;
use s3up_core::error_chain;
use s3up_repository::chain::Chain;
use s3up_repository::names::SnapshotName;

use super::context::Restore;
use super::error::RestoreError;
use super::preflight;
use super::request::RestoreRequest;
use crate::restore::request::KeepParent;
use crate::restore::staging::{ReceivedBackup, Staging};
use crate::snapshots::dir::SnapshotDir;
use crate::snapshots::received_parent::{self, ConfiguredSubvolume, KeepLocation};
use crate::snapshots::record::RunId;

impl Restore<'_> {
    /// Returns the path of the received parent. The restore is already complete, so a failure
    /// is only a warning; it costs a full.
    pub(super) async fn keep_parent(
        &self,
        request: &RestoreRequest,
        chain: &Chain,
        staging: &Staging,
        last: &ReceivedBackup,
    ) -> Option<PathBuf> {
        let name = self.name_if_useful(request, chain, last).await?;
        if let KeepParent::ForBackups { base_dir, .. } = &request.keep
            && base_dir.join(name.to_string()).symlink_metadata().is_ok()
        {
            tracing::info!(event = "received_parent_not_stored", snapshot = %name, "the snapshot directory has this snapshot already, which is the parent of the next incremental");
            return None;
        }
        let received = staging.path_of(last);
        match self.keep_as(request, &received, &name).await {
            Ok(path) => {
                let path_shown = path.display();
                tracing::info!(event = "received_parent_stored", path = %path_shown, "the next backup can be an incremental");
                Some(path)
            }
            Err(err) => {
                let why = error_chain(&err);
                tracing::warn!(
                    event = "received_parent_not_stored",
                    "the next backup will be a full: {why}"
                );
                None
            }
        }
    }

    /// Returns the name of the snapshot, if the next incremental can be based on it: only the
    /// newest backup is a parent, and only if its manifest identifies the snapshot.
    async fn name_if_useful(
        &self,
        request: &RestoreRequest,
        chain: &Chain,
        last: &ReceivedBackup,
    ) -> Option<SnapshotName> {
        if matches!(request.keep, KeepParent::No) {
            return None;
        }
        let newest = chain.newest();
        let snapshot = &newest.manifest.snapshot;
        let name = SnapshotName::parse(&snapshot.name);
        let is_known = snapshot.uuid.is_some() && snapshot.ctransid.is_some();
        let is_named = last.sent_uuid == last.received_uuid;
        let why_not = match name {
            None => "its name does not have the form of btrfs-to-s3",
            Some(_) if !is_known || !is_named => "its manifest does not identify the snapshot",
            Some(name) => match self.chain_reader(request).published().await {
                Ok(published) if published == newest.key => return Some(name),
                Ok(_) => "it is not the newest backup",
                Err(_) => "the pointer to the newest backup cannot be read",
            },
        };
        tracing::info!(event = "received_parent_not_stored", manifest = %newest.key, "{why_not}");
        None
    }

    async fn keep_as(
        &self,
        request: &RestoreRequest,
        received: &Path,
        name: &SnapshotName,
    ) -> Result<PathBuf, RestoreError> {
        let configured = configured(&request.keep, &request.target);
        match (received_parent::keep_location(configured.as_ref(), &request.target), &request.keep)
        {
            (KeepLocation::SnapshotDir(base_dir), KeepParent::ForBackups { records, .. }) => {
                let snapshot_dir = SnapshotDir { btrfs: self.btrfs, base_dir: &base_dir, records };
                snapshot_dir.adopt(received, name, &RunId::random()?).await?;
                Ok(snapshot_dir.path_of(name))
            }
            (KeepLocation::SnapshotDir(directory) | KeepLocation::Beside(directory), _) => {
                received_parent::keep_beside(self.btrfs, received, &directory, name).await?;
                Ok(directory.join(name.to_string()))
            }
        }
    }
}

fn configured(keep: &KeepParent, target: &Path) -> Option<ConfiguredSubvolume> {
    let KeepParent::ForBackups { path, base_dir, .. } = keep else { return None };
    let device = |path: &Path| filesystem::on_btrfs(path).ok().map(|found| found.mount.device);
    let (ours, theirs) = (device(preflight::dir_of(target)), device(base_dir));
    Some(ConfiguredSubvolume {
        path: path.clone(),
        base_dir: base_dir.clone(),
        is_same_filesystem: ours.is_some() && ours == theirs,
        is_there: path.symlink_metadata().is_ok(),
    })
}
