//! Local snapshots, made by `backup --no-s3`: they stay on this host and are never
//! sent.
//!
//! Their records say so ([`SnapshotState::Local`]), so that no later run takes one for the
//! snapshot of an interrupted backup. The newest `snapshots.retain` of them are kept.
//! They never serve as a parent: that is the snapshot that the newest manifest names.

use jiff::Timestamp;
use s3up_repository::names::{BackupKind, SnapshotName, Subvolume, SubvolumeName};
use s3up_repository::stamp::Stamp;

use crate::backup::error::Failure;
use crate::snapshots::cleanup;
use crate::snapshots::dir::{SnapshotDir, snapshots_in};
use crate::snapshots::record::{RunId, SnapshotState};
use s3up_cli::ShutdownSignal;

/// The result of `backup --no-s3`: snapshots that were made, and failures.
#[derive(Debug, Default)]
pub struct LocalSnapshots {
    pub snapshots: Vec<SnapshotName>,
    pub failed: Vec<(SubvolumeName, Failure)>,
}

pub async fn snapshot(
    snapshot_dir: SnapshotDir<'_>,
    subvolumes: &[&Subvolume],
    retain: usize,
    now: Timestamp,
    shutdown: &ShutdownSignal,
) -> Result<LocalSnapshots, getrandom::Error> {
    let run = RunId::random()?;
    let mut made = LocalSnapshots::default();
    for subvolume in subvolumes {
        let snapshot = match shutdown.received() {
            None => make(snapshot_dir, subvolume, now, &run).await,
            Some(stop) => Err(Failure::Stopped(stop)),
        };
        match snapshot {
            Ok(snapshot) => made.snapshots.push(snapshot),
            Err(failure) => made.failed.push((subvolume.name.clone(), failure)),
        }
    }
    for snapshot in &made.snapshots {
        match snapshot_dir.records.of(&snapshot.subvolume) {
            Ok(records) => {
                for expired in cleanup::expired_locals(&records, retain) {
                    snapshot_dir.remove(&expired).await;
                }
            }
            Err(err) => made.failed.push((snapshot.subvolume.clone(), err.into())),
        }
    }
    Ok(made)
}

async fn make(
    snapshot_dir: SnapshotDir<'_>,
    subvolume: &Subvolume,
    now: Timestamp,
    run: &RunId,
) -> Result<SnapshotName, Failure> {
    let name = &subvolume.name;
    let on_disk = snapshots_in(snapshot_dir.base_dir)?;
    let on_disk = on_disk.into_iter().filter(|snapshot| snapshot.subvolume == *name);
    let recorded = snapshot_dir.records.of(name)?.into_iter().map(|(snapshot, _)| snapshot);
    let last = on_disk.chain(recorded).map(|snapshot| snapshot.stamp).max();
    let stamp = Stamp::at(now).after(last);
    // A local snapshot needs no parent, so its name says full.
    let snapshot = SnapshotName { subvolume: name.clone(), stamp, kind: BackupKind::Full };
    Ok(snapshot_dir.make(&subvolume.path, &snapshot, run, SnapshotState::Local).await?)
}
