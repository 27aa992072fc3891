//! Cleanup: removes old snapshots and the leftovers of interrupted or failed runs, on disk and in
//! the bucket.
//!
//! The [records](crate::snapshots::record) name the leftovers, and the bucket decides whether they
//! may be removed ([`leftover`]): a backup that is whole there stays, whatever a record says. Objects
//! in the bucket are removed first, and only those that carry the run of the record; then the
//! snapshot, then its record. Nothing is removed before a newer backup is published, nor while the
//! published chain cannot be read. The published snapshot stays, because the next incremental needs
//! it.

use std::collections::BTreeSet;
use std::time::Duration;

use s3up_core::{Clock, Key, error_chain};
use s3up_repository::documents::Bucket;
use s3up_repository::layout::{Layout, index_key};
use s3up_repository::names::SnapshotName;
use s3up_repository::published::Published;
use s3up_repository::stamp::Stamp;
use s3up_store::{Store, StoreError};

use crate::snapshots::dir::SnapshotDir;
use crate::snapshots::leftover::{self, Age, WrittenBy};
use crate::snapshots::record::{RUN_METADATA, RunId, SnapshotRecord, SnapshotState};

/// Limits the cleanup after an earlier run; the next run can finish it.
const CLEANUP_TIME_MAX: Duration = Duration::from_secs(60);
/// Limits the cleanup after this run, which may have been asked to stop.
const UNDO_TIME_MAX: Duration = Duration::from_secs(10);
/// Allows for an upload that was started by a clock ahead of ours.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// The snapshots to remove after a backup was published.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CleanupPlan {
    /// Published by a run that died before it could record that.
    pub published: Vec<SnapshotName>,
    /// Snapshots of runs that did not publish; their objects in the bucket are removed, too.
    pub unpublished: Vec<SnapshotName>,
    /// Snapshots that are older than `snapshots.retain` allows.
    pub expired: Vec<SnapshotName>,
}

/// The backups that were published before, as they were read when this backup was planned.
pub enum PublishedBefore {
    Nothing,
    /// The chain with these backups.
    Chain(Vec<SnapshotName>),
    Unreadable,
}

impl PublishedBefore {
    pub fn of(published: &Published) -> PublishedBefore {
        match published {
            Published::Nothing => PublishedBefore::Nothing,
            Published::ManifestMissing { .. } | Published::Broken { .. } => {
                PublishedBefore::Unreadable
            }
            Published::Chain(chain) => {
                let names = chain.entries().iter().map(|entry| &entry.manifest.snapshot.name);
                PublishedBefore::Chain(names.filter_map(|name| SnapshotName::parse(name)).collect())
            }
        }
    }
}

/// Decides for the records of one subvolume. `retain` includes the published snapshot.
pub fn plan(
    records: &[(SnapshotName, SnapshotState)],
    published: &SnapshotName,
    before: &PublishedBefore,
    retain: usize,
) -> CleanupPlan {
    let chain: &[SnapshotName] = match before {
        PublishedBefore::Nothing => &[],
        PublishedBefore::Chain(chain) => chain,
        PublishedBefore::Unreadable => return CleanupPlan::default(),
    };
    let mut plan = CleanupPlan::default();
    for (name, state) in records.iter().filter(|(name, _)| name != published) {
        match (state, chain.contains(name)) {
            (SnapshotState::Published | SnapshotState::Local, _) => plan.expired.push(name.clone()),
            (SnapshotState::Begun, true) => {
                plan.published.push(name.clone());
                plan.expired.push(name.clone());
            }
            (SnapshotState::Begun, false) => plan.unpublished.push(name.clone()),
        }
    }
    plan.expired.sort_unstable();
    plan.expired.truncate((plan.expired.len() + 1).saturating_sub(retain.max(1)));
    plan
}

/// Returns the local snapshots beyond `retain`, oldest first. Without S3 it is unknown
/// which snapshots are published, so only local ones are deleted.
pub fn expired_locals(
    records: &[(SnapshotName, SnapshotRecord)],
    retain: usize,
) -> Vec<SnapshotName> {
    let locals = records.iter().filter(|(_, record)| record.state == SnapshotState::Local);
    let mut locals: Vec<_> = locals.map(|(name, _)| name.clone()).collect();
    locals.sort_unstable();
    locals.truncate(locals.len().saturating_sub(retain));
    locals
}

/// Everything that a cleanup works on.
pub struct Cleanup<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub snapshot_dir: SnapshotDir<'a>,
    /// The run of this process.
    pub this_run: &'a RunId,
    /// Time of the newest backup that was published when this run was planned.
    pub published_at: Option<Stamp>,
    pub clock: Clock,
}

/// The state of the bucket after the removal of an unfinished backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalOutcome {
    /// Nothing of it is left.
    Removed,
    /// It is a backup, so nothing was removed.
    IsBackup,
    /// Something is left, and a warning says what.
    Incomplete,
}

impl Cleanup<'_> {
    /// Carries out a plan. What cannot be removed is a warning and stays on record: the
    /// backup itself is safe.
    pub async fn apply(
        &self,
        cleanup_plan: &CleanupPlan,
        records: &[(SnapshotName, SnapshotRecord)],
    ) {
        let run_of = |wanted: &SnapshotName| {
            records.iter().find(|(name, _)| name == wanted).map(|(_, record)| &record.run)
        };
        for name in &cleanup_plan.published {
            let noted = run_of(name)
                .map(|run| self.snapshot_dir.records.write(name, run, SnapshotState::Published));
            if let Some(Err(err)) = noted {
                tracing::warn!(event = "record_not_written", "{}", error_chain(&err));
            }
        }
        for name in &cleanup_plan.unpublished {
            if let Some(run) = run_of(name) {
                self.remove_unpublished(name, run, CreatedBy::EarlierRun).await;
            }
        }
        for name in &cleanup_plan.expired {
            self.snapshot_dir.remove(name).await;
        }
    }

    /// Removes what an unpublished backup left in the bucket and on disk, then its
    /// record. If the bucket shows that it is a backup, corrects the record instead.
    pub async fn remove_unpublished(
        &self,
        name: &SnapshotName,
        run: &RunId,
        created_by: CreatedBy,
    ) {
        match self.clear(name, run, created_by).await {
            RemovalOutcome::Removed => self.snapshot_dir.remove(name).await,
            RemovalOutcome::IsBackup => {
                if let Err(err) =
                    self.snapshot_dir.records.write(name, run, SnapshotState::Published)
                {
                    tracing::warn!(event = "record_not_written", "{}", error_chain(&err));
                }
            }
            RemovalOutcome::Incomplete => {}
        }
    }

    /// Removes what an unpublished backup left in the bucket.
    pub async fn clear(
        &self,
        name: &SnapshotName,
        run: &RunId,
        created_by: CreatedBy,
    ) -> RemovalOutcome {
        let removal = Removal { cleanup: self, backup: name, run, limit: created_by.time_max() };
        removal.within_limit(removal.everything()).await.unwrap_or(RemovalOutcome::Incomplete)
    }

    /// Removes the objects of a backup except the chunks `kept`, before it is
    /// published. Returns `false` if anything is left, after a warning.
    pub async fn clear_others(
        &self,
        name: &SnapshotName,
        run: &RunId,
        kept: &BTreeSet<Key>,
    ) -> bool {
        let removal = Removal { cleanup: self, backup: name, run, limit: CLEANUP_TIME_MAX };
        let chunks = async { removal.chunks_but(kept).await.map(|removed| removal.log(removed)) };
        removal.within_limit(chunks).await.is_some()
    }
}

/// The removal of the objects of one backup.
struct Removal<'a> {
    cleanup: &'a Cleanup<'a>,
    backup: &'a SnapshotName,
    run: &'a RunId,
    limit: Duration,
}

impl Removal<'_> {
    /// Returns `None` after a warning if the time is over or the store fails.
    async fn within_limit<T>(
        &self,
        removing: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let Removal { backup, limit, .. } = self;
        let reason = match tokio::time::timeout(*limit, removing).await {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(err)) => error_chain(&err),
            Err(_) => format!("gave up after {} s", limit.as_secs()),
        };
        tracing::warn!(
            event = "cleanup_failed",
            %backup,
            "cannot remove the objects of an unfinished backup from the bucket; a later run tries \
             again: {reason}"
        );
        None
    }

    fn log(&self, removed: u64) {
        let backup = self.backup;
        if removed > 0 {
            tracing::info!(event = "leftover_removed", %backup, objects = removed);
        }
    }

    /// Asks the bucket what this is. If it never was a backup, removes the manifest first
    /// and the chunks last, and nothing that another run stored under the same keys.
    async fn everything(&self) -> Result<RemovalOutcome, StoreError> {
        let Cleanup { bucket, layout, .. } = self.cleanup;
        match self.decide().await? {
            leftover::Removal::Remove => {}
            leftover::Removal::IsBackup => {
                self.warn_of_backup();
                return Ok(RemovalOutcome::IsBackup);
            }
            leftover::Removal::Keep { reason } => {
                let backup = self.backup;
                tracing::warn!(
                    event = "leftover_not_deleted",
                    %backup,
                    "not removing objects that an unfinished backup seems to have left in the \
                     bucket: {reason}; check them with `list`"
                );
                return Ok(RemovalOutcome::Incomplete);
            }
        }
        let mut removed = 0;
        let manifest = layout.manifest(self.backup);
        let index = index_key(&manifest);
        for key in [manifest, layout.parts(self.backup), index] {
            removed += remove_if_ours(&bucket.store, &key, self.run, self.retry_for()).await?;
        }
        self.log(removed + self.chunks_but(&BTreeSet::new()).await?);
        Ok(RemovalOutcome::Removed)
    }

    async fn decide(&self) -> Result<leftover::Removal, StoreError> {
        let Cleanup { bucket, layout, this_run, published_at, .. } = self.cleanup;
        let bucket = Bucket { retry_for: self.retry_for(), ..(*bucket).clone() };
        let found = leftover::observe(&bucket, layout, self.backup).await?;
        let written_by = match self.run == *this_run {
            true => WrittenBy::ThisProcess,
            false => WrittenBy::AsRecorded,
        };
        // Without a published chain nothing is known to be newer than it: the pointer may have
        // been deleted.
        let age = match published_at.is_some_and(|at| self.backup.stamp > at) {
            true => Age::NewerThanPublished,
            false => Age::Older,
        };
        Ok(leftover::may_be_removed(&found, written_by, age))
    }

    fn warn_of_backup(&self) {
        let backup = self.backup;
        tracing::warn!(
            event = "leftover_is_a_backup",
            %backup,
            "the snapshot record says that this backup was not published, but the bucket holds \
             all of it: nothing is deleted, and the record is corrected; the snapshot directory \
             was probably rolled back or restored"
        );
    }

    /// Removes the chunks except `kept`, and incomplete uploads of chunks.
    async fn chunks_but(&self, kept: &BTreeSet<Key>) -> Result<u64, StoreError> {
        let Cleanup { bucket: Bucket { store, .. }, layout, .. } = self.cleanup;
        let retry_for = self.retry_for();
        store.wait_for_aborts().await;
        let chunks = layout.chunks(self.backup);
        let ahead = self.cleanup.clock.now() + CLOCK_SKEW;
        let mut removed = store.sweep(&chunks, ahead, retry_for).await?;
        // It describes the stream of an earlier attempt. This one stores an index of its own.
        let index = index_key(&layout.manifest(self.backup));
        removed += remove_if_ours(store, &index, self.run, retry_for).await?;
        let mut listing = store.list(&chunks, retry_for);
        while let Some(page) = listing.next_page().await? {
            let keys = page.iter().filter_map(|listed| Key::parse(&listed.key).ok());
            for key in keys.filter(|key| !kept.contains(key)) {
                removed += remove_if_ours(store, &key, self.run, retry_for).await?;
            }
        }
        Ok(removed)
    }

    fn retry_for(&self) -> Duration {
        self.limit.min(self.cleanup.bucket.retry_for)
    }
}

/// The run that created the objects to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatedBy {
    EarlierRun,
    ThisRun,
}

impl CreatedBy {
    fn time_max(self) -> Duration {
        match self {
            CreatedBy::EarlierRun => CLEANUP_TIME_MAX,
            CreatedBy::ThisRun => UNDO_TIME_MAX,
        }
    }
}

async fn remove_if_ours(
    store: &Store,
    key: &Key,
    run: &RunId,
    retry_for: Duration,
) -> Result<u64, StoreError> {
    let Some(found) = store.head(key, None, retry_for).await? else { return Ok(0) };
    if found.metadata.get(RUN_METADATA).map(String::as_str) != Some(run.as_str()) {
        tracing::warn!(
            event = "object_not_deleted",
            %key,
            "not deleting an object that another run stored"
        );
        return Ok(0);
    }
    store.delete(key, retry_for).await?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleanup_follows_records_chain_and_retain() {
        use SnapshotState::{Begun, Local, Published};
        let name =
            |day: u32| SnapshotName::parse(&format!("x__202601{day:02}T000000Z__inc")).unwrap();
        let names = |days: &[u32]| days.iter().map(|day| name(*day)).collect::<Vec<_>>();
        let chain = |days: &[u32]| PublishedBefore::Chain(names(days));
        let (p, b, l) = (Published, Begun, Local);
        #[rustfmt::skip]
        let cases = [
            // situation            records                                  published before        retain  noted    unpublished expired
            ("only one",            vec![(1, p)],                            1, PublishedBefore::Nothing,      2, vec![],  vec![],     vec![]),
            ("the last two stay",   vec![(1, p), (2, p)],                    2, chain(&[1]),          2, vec![],  vec![],     vec![]),
            ("the third goes",      vec![(1, p), (2, p), (3, p)],            3, chain(&[1, 2]),       2, vec![],  vec![],     vec![1]),
            ("minimal",             vec![(1, p), (2, p), (3, p)],            3, chain(&[1, 2]),       1, vec![],  vec![],     vec![1, 2]),
            ("many stay",           vec![(1, p), (2, p), (3, p)],            3, chain(&[1, 2]),       9, vec![],  vec![],     vec![]),
            ("a run was killed",    vec![(1, p), (2, p), (3, b), (4, p)],    4, chain(&[1, 2]),       2, vec![],  vec![3],    vec![1]),
            ("killed long ago",     vec![(1, b), (2, p), (3, p)],            3, chain(&[2]),          2, vec![],  vec![1],    vec![]),
            ("the first killed",    vec![(1, b), (2, p)],                    2, PublishedBefore::Nothing,      2, vec![],  vec![1],    vec![]),
            ("after its pointer",   vec![(1, p), (2, b), (3, p)],            3, chain(&[1, 2]),       2, vec![2], vec![],     vec![1]),
            ("pointer was lost",    vec![(1, p), (2, p), (3, p)],            3, PublishedBefore::Nothing,      2, vec![],  vec![],     vec![1]),
            ("made without S3",     vec![(1, p), (2, l), (3, p)],            3, chain(&[1]),          2, vec![],  vec![],     vec![1]),
            ("local ones expire",  vec![(1, l), (2, p), (3, p)],            3, chain(&[2]),          2, vec![],  vec![],     vec![1]),
            ("pointer unreadable",  vec![(1, p), (2, b), (3, p)],            3, PublishedBefore::Unreadable,   1, vec![],  vec![],     vec![]),
        ];
        for (situation, records, published, before, retain, noted, unpublished, expired) in cases {
            let records: Vec<_> = records.iter().map(|(day, state)| (name(*day), *state)).collect();
            let got = plan(&records, &name(published), &before, retain);
            let want = CleanupPlan {
                published: names(&noted),
                unpublished: names(&unpublished),
                expired: names(&expired),
            };
            assert_eq!(got, want, "{situation}");
        }
    }
}
