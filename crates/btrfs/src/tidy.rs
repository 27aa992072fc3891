//! Removes what backups leave: old snapshots, and what a run that failed or
//! died left on disk and in the bucket.
//!
//! A snapshot on disk marks what its run may have left in the bucket, because
//! their names share the time. So the bucket is tidied first and the snapshot
//! goes last. Nothing goes before a newer backup is published; the published
//! snapshot never goes, for the next incremental needs it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use s3up_core::Key;
use s3up_store::StoreError;

use crate::bucket::Bucket;
use crate::cause::with_cause;
use crate::layout::Layout;
use crate::snapshot::SnapshotName;
use crate::stamp::Stamp;
use crate::subvolume;
use crate::tool::Btrfs;

/// Clearing up is worth a while, and no more: the next run does it as well.
const RETRY_FOR: Duration = Duration::from_secs(60);
/// An upload that was begun by a clock that is ahead of ours.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// What to remove after a backup was published.
#[derive(Debug, PartialEq, Eq)]
pub struct Tidy {
    /// Of runs that did not publish: what they left in the bucket goes.
    pub unpublished: Vec<SnapshotName>,
    /// Snapshots on disk that go.
    pub snapshots: Vec<SnapshotName>,
}

/// Decides. `before`: the time of the backup that was published before this
/// one; without it nobody knows which of the others were published elsewhere,
/// and `retain` alone decides. `retain` counts the published one.
pub fn plan(
    snapshots: &[SnapshotName],
    published: &SnapshotName,
    before: Option<Stamp>,
    retain: usize,
) -> Tidy {
    let others = || snapshots.iter().filter(|name| *name != published);
    let is_unpublished = |name: &&SnapshotName| before.is_none_or(|before| name.stamp > before);
    let unpublished: Vec<_> = others().filter(is_unpublished).cloned().collect();
    let is_leftover = |name: &SnapshotName| before.is_some() && unpublished.contains(name);
    let mut kept: Vec<_> = others().filter(|name| !is_leftover(name)).cloned().collect();
    kept.sort_unstable_by(|one, other| other.cmp(one));
    let expired = kept.split_off(kept.len().min(retain.saturating_sub(1)));
    let mut going: Vec<_> = others().filter(|name| is_leftover(name)).cloned().collect();
    going.extend(expired);
    going.sort_unstable();
    Tidy { unpublished, snapshots: going }
}

/// Applies it. What cannot be removed is a warning: the backup itself is safe.
pub async fn apply(tidy: &Tidy, bucket: &Bucket, layout: &Layout, btrfs: &Btrfs, base_dir: &Path) {
    let mut left = Vec::new();
    for backup in &tidy.unpublished {
        if let Err(err) = remove_unpublished(bucket, layout, backup).await {
            tracing::warn!(
                event = "leftover_kept",
                backup = %backup,
                "what an earlier run left in the bucket could not be removed: {}",
                with_cause(&err)
            );
            left.push(backup);
        }
    }
    for snapshot in tidy.snapshots.iter().filter(|snapshot| !left.contains(snapshot)) {
        remove_snapshot(btrfs, base_dir, snapshot).await;
    }
}

pub async fn remove_snapshot(btrfs: &Btrfs, base_dir: &Path, snapshot: &SnapshotName) {
    match subvolume::delete(btrfs, &base_dir.join(snapshot.to_string())).await {
        Ok(()) => tracing::info!(event = "snapshot_deleted", snapshot = %snapshot),
        Err(err) => {
            tracing::warn!(event = "snapshot_kept", snapshot = %snapshot, "{}", with_cause(&err));
        }
    }
}

/// Removes from the bucket what an unpublished backup has there: its manifest
/// first, its chunks last.
pub async fn remove_unpublished(
    bucket: &Bucket,
    layout: &Layout,
    backup: &SnapshotName,
) -> Result<(), StoreError> {
    let Bucket { store, retry_for, .. } = bucket;
    let retry_for = RETRY_FOR.min(*retry_for);
    store.settle().await;
    let chunks = layout.chunks(backup);
    let ahead = SystemTime::now() + CLOCK_SKEW;
    let uploads = store.sweep(&chunks, ahead, retry_for).await?;
    let mut objects = 0;
    for key in [layout.manifest(backup), layout.parts(backup)] {
        if store.head(&key, None, retry_for).await?.is_some() {
            store.delete(&key, retry_for).await?;
            objects += 1;
        }
    }
    let mut listing = store.list(&chunks, retry_for);
    while let Some(page) = listing.next_page().await? {
        for key in page.iter().filter_map(|listed| Key::parse(&listed.key).ok()) {
            store.delete(&key, retry_for).await?;
            objects += 1;
        }
    }
    if uploads + objects > 0 {
        tracing::info!(event = "leftover_removed", backup = %backup, uploads, objects);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes() {
        let none: [&str; 0] = [];
        let (a, b, c, d, e) = (
            "x__20260101T000000Z__full",
            "x__20260102T000000Z__inc",
            "x__20260103T000000Z__inc",
            "x__20260104T000000Z__inc",
            "x__20260105T000000Z__inc",
        );
        #[rustfmt::skip]
        let cases = [
            // situation             on disk                published before  retain unpublished      snapshots that go
            ("only this",            vec![a],               a, None,          2,     none.to_vec(),   none.to_vec()),
            ("the last two stay",    vec![a, b],            b, Some(a),       2,     vec![],          vec![]),
            ("the third goes",       vec![a, b, c],         c, Some(b),       2,     vec![],          vec![a]),
            ("minimal",              vec![a, b, c],         c, Some(b),       1,     vec![],          vec![a, b]),
            ("many stay",            vec![a, b, c],         c, Some(b),       9,     vec![],          vec![]),
            ("a run died",           vec![a, b, c, d],      d, Some(b),       2,     vec![c],         vec![a, c]),
            ("two runs died",        vec![b, c, d, e],      e, Some(b),       3,     vec![c, d],      vec![c, d]),
            ("the first died",       vec![a, b],            b, None,          2,     vec![a],         vec![]),
            ("the first two died",   vec![a, b, c],         c, None,          2,     vec![a, b],      vec![a]),
            ("the clock was ahead",  vec![a, b, e],         c, Some(a),       2,     vec![b, e],      vec![b, e]),
        ];
        let name = |text: &str| SnapshotName::parse(text).unwrap();
        for (situation, on_disk, published, before, retain, unpublished, snapshots) in cases {
            let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
            let before = before.map(|text| name(text).stamp);
            let got = plan(&names(&on_disk), &name(published), before, retain);
            let want = Tidy { unpublished: names(&unpublished), snapshots: names(&snapshots) };
            assert_eq!(got, want, "{situation}");
        }
    }
}
