//! Carries out a cleanup: page by page of the rows, and a few files at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use s3up_core::wire::{PROOF_FILES_MAX, ProofQuery, Proofs};
use tokio::sync::{mpsc, oneshot};

use super::disk::{blocking, free_bytes, on_files};
use super::error::CleanupError;
use super::judge::{CleanupStep, NotDeleted, judge_proof, next_step};
use super::policy::CleanupPolicy;
use super::recover::{Recovery, ScannedWatch, recover};
use super::remove::{DiskLimits, ProvenFile, examine, remove};
use super::summary::{CleanupSummary, FileOutcome};
use crate::clock;
use crate::database::recorder::{OnCommit, WriteRequest};
use crate::database::{Change, CleanupChange, CleanupRow, InterruptedDeletion, LOOKUP_MAX, Reader};
use crate::files::confined_fs::Root;
use crate::files::watch::{EntryKind, Watch};
use crate::gateway::client::GatewayClient;

/// Number of files that are removed together. Their deletions share two commits of the database.
const REMOVED_TOGETHER_MAX: usize = 64;
const MINUTE: Duration = Duration::from_secs(60);

// One page is one question to the gateway.
const _: () = assert!(LOOKUP_MAX <= PROOF_FILES_MAX);

/// Takes the outcome of each file, by its row.
pub type OnOutcome<'e> = &'e mut (dyn FnMut(&CleanupRow, &FileOutcome) + Send);

/// Access to the rows, the gateway and the database. Without `requests` each run is a dry run.
#[derive(Debug)]
pub struct Cleanup {
    pub watches: Vec<Arc<Watch>>,
    pub policy: CleanupPolicy,
    pub gateway: GatewayClient,
    pub reader: Reader,
    pub requests: Option<mpsc::Sender<WriteRequest>>,
}

impl Cleanup {
    /// Completes or undoes what an earlier run left.
    pub async fn recover(&self) -> Result<(), CleanupError> {
        let deletions = self.reader.interrupted_deletions().await?;
        if deletions.is_empty() || self.requests.is_none() {
            return Ok(());
        }
        let (scanned, listed) = (self.scanned_watches().await?, deletions.clone());
        let recovered = blocking(move || recover(&scanned, &listed)).await?;
        for (InterruptedDeletion { local_path, .. }, recovery) in
            deletions.into_iter().zip(recovered)
        {
            match recovery {
                Recovery::Record(change) => {
                    let restored = change == CleanupChange::NotDeleted;
                    tracing::info!(event = "deletion_recovered", path = local_path, restored);
                    self.record(vec![(local_path, change)]).await?;
                }
                Recovery::Later(reason) => {
                    tracing::warn!(event = "deletion_not_recovered", path = local_path, reason);
                }
            }
        }
        Ok(())
    }

    async fn scanned_watches(&self) -> Result<Vec<ScannedWatch>, CleanupError> {
        let mut scanned = Vec::new();
        for watch in &self.watches {
            let state = self.reader.watch_state(&watch.local_prefix()).await?;
            let filesystem = state.and_then(|state| state.filesystem);
            scanned.push(ScannedWatch { watch: watch.clone(), filesystem });
        }
        Ok(scanned)
    }

    /// Runs a cleanup of all watches. A watch that cannot be trusted is left out.
    pub async fn run(&self, on_outcome: OnOutcome<'_>) -> Result<CleanupSummary, CleanupError> {
        let mut run = Run {
            cleanup: self,
            on_outcome,
            summary: CleanupSummary::default(),
            has_warned: false,
        };
        for watch in &self.watches {
            match run.watch(watch).await {
                Err(err @ CleanupError::Watch { .. }) => run.summary.errors.push(err.to_string()),
                other => other?,
            }
        }
        Ok(run.summary)
    }

    /// Fails unless the root is the one of the last complete scan.
    async fn check_root(&self, watch: &Arc<Watch>) -> Result<(), CleanupError> {
        let failed = |reason: String| CleanupError::Watch { root: watch.root.clone(), reason };
        let state = self.reader.watch_state(&watch.local_prefix()).await?;
        let Some(state) = state.filter(|state| state.last_scan_at.is_some()) else {
            return Err(failed("no scan of it is complete yet".to_owned()));
        };
        let root = watch.root.clone();
        let id = blocking(move || Root::open(&root).and_then(|root| root.filesystem_id())).await?;
        let id = id.map_err(|err| failed(err.to_string()))?;
        if state.filesystem.as_ref() != Some(&id) {
            let what = "expected the filesystem of the last scan, found another one; check whether \
                        it is mounted";
            return Err(failed(what.to_owned()));
        }
        Ok(())
    }

    async fn prove(&self, rows: impl Iterator<Item = &CleanupRow>) -> Result<Proofs, CleanupError> {
        let paths: Vec<_> = rows.map(|row| row.remote_path.clone()).collect();
        let proofs = self.gateway.prove(&ProofQuery { paths: paths.clone() }).await?;
        let (expected, found) = (paths.len(), proofs.files.len());
        let is_same = paths.iter().eq(proofs.files.iter().map(|file| &file.path));
        if !is_same {
            return Err(CleanupError::Answers { expected, found });
        }
        Ok(proofs)
    }

    /// Records the changes and waits until they are committed.
    async fn record(&self, changes: Vec<(String, CleanupChange)>) -> Result<(), CleanupError> {
        let Some(requests) = &self.requests else { return Ok(()) };
        let mut committed = None;
        for (local_path, change) in changes {
            let (reply, receiver) = oneshot::channel();
            let change = Change::Cleanup { local_path, change };
            let request = WriteRequest { change, on_commit: OnCommit::Reply(reply) };
            requests.send(request).await.map_err(|_| CleanupError::Stopped)?;
            committed = Some(receiver);
        }
        // They are committed in order.
        match committed {
            Some(committed) => committed.await.map_err(|_| CleanupError::Stopped),
            None => Ok(()),
        }
    }
}

struct Run<'r> {
    cleanup: &'r Cleanup,
    on_outcome: OnOutcome<'r>,
    summary: CleanupSummary,
    /// True once the log says that the agent lacks a right.
    has_warned: bool,
}

impl Run<'_> {
    async fn watch(&mut self, watch: &Arc<Watch>) -> Result<(), CleanupError> {
        self.cleanup.check_root(watch).await?;
        let prefix = watch.local_prefix();
        let mut after = String::new();
        loop {
            let page = self.cleanup.reader.cleanup_page(&prefix, &after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.local_path);
            self.page(watch, page).await?;
        }
    }

    async fn page(
        &mut self,
        watch: &Arc<Watch>,
        page: Vec<CleanupRow>,
    ) -> Result<(), CleanupError> {
        let now = clock::wall_seconds();
        let mut asked = Vec::new();
        for row in page {
            let Some(path) = watch.path_of(&row.local_path) else { continue };
            if let Some(reason) = self.excluded(watch, &path, &row) {
                self.not_deleted(&row, reason);
                continue;
            }
            match next_step(row.verified_at, self.cleanup.policy.after, now) {
                CleanupStep::Wait => self.summary.waiting.add_file(row.identity.size),
                step @ (CleanupStep::Verify | CleanupStep::Delete) => asked.push((row, path, step)),
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let proofs = self.cleanup.prove(asked.iter().map(|(row, ..)| row)).await?;
        let min_days = self.cleanup.policy.min_old_version_days;
        let (mut proven, mut changes) = (Vec::new(), Vec::new());
        for ((row, path, step), proof) in asked.into_iter().zip(proofs.files) {
            let stored = proof.stored;
            match judge_proof(&row, &proofs.versioning, stored.as_ref(), min_days) {
                Err(reason) => {
                    changes.push((row.local_path.clone(), CleanupChange::NotVerified));
                    self.not_deleted(&row, reason);
                }
                Ok(version_id) if step == CleanupStep::Verify => {
                    self.summary.verified.add_file(row.identity.size);
                    let (sha256, identity) = (row.sha256, row.identity);
                    let change = CleanupChange::Verified { sha256, identity, version_id, at: now };
                    changes.push((row.local_path, change));
                }
                Ok(version_id) => {
                    let stored_crc = stored.and_then(|stored| stored.crc64nvme);
                    proven.push((proven_file(&row, path, version_id, stored_crc), row));
                }
            }
        }
        self.cleanup.record(changes).await?;
        let files_per_minute = self.cleanup.policy.files_per_minute;
        let chunk_len = REMOVED_TOGETHER_MAX
            .min(usize::try_from(files_per_minute).unwrap_or(REMOVED_TOGETHER_MAX));
        while !proven.is_empty() {
            let rest = proven.split_off(proven.len().min(chunk_len));
            let chunk = std::mem::replace(&mut proven, rest);
            let start = clock::timer_now();
            let deleted = self.chunk(watch, chunk).await?;
            if deleted > 0 && self.cleanup.requests.is_some() {
                let pause = MINUTE * deleted / files_per_minute;
                tokio::time::sleep_until(start + pause).await;
            }
        }
        Ok(())
    }

    /// Returns the reason for which the settings keep a file.
    fn excluded(&self, watch: &Watch, path: &Path, row: &CleanupRow) -> Option<NotDeleted> {
        let excludes = &self.cleanup.policy.excludes;
        // The row of a file that was excluded later is still there.
        let is_nested = path.components().nth(1).is_some();
        if watch.excludes_beneath(path, EntryKind::Other) || (!watch.recursive && is_nested) {
            return Some(NotDeleted::Excluded);
        }
        if excludes.matched_path_or_any_parents(path, false).is_ignore() {
            return Some(NotDeleted::Excluded);
        }
        let remote_path = watch.remote_path(path).ok();
        let is_same = remote_path.is_some_and(|path| path.as_str() == row.remote_path);
        (!is_same).then_some(NotDeleted::OtherRemotePath)
    }

    /// Deletes some files. Returns their number.
    async fn chunk(
        &mut self,
        watch: &Arc<Watch>,
        chunk: Vec<(ProvenFile, CleanupRow)>,
    ) -> Result<u32, CleanupError> {
        let policy = &self.cleanup.policy;
        if let Some(min_free_bytes) = policy.min_free_bytes {
            let free = free_bytes(watch.clone()).await?;
            if free >= min_free_bytes {
                chunk
                    .iter()
                    .for_each(|(_, row)| self.summary.not_needed.add_file(row.identity.size));
                return Ok(0);
            }
        }
        let limits = DiskLimits { min_age: policy.min_age, now_ns: clock::wall_ns() };
        let files: Vec<_> = chunk.iter().map(|(file, _)| file.clone()).collect();
        let examined = on_files(watch, files, move |root, files| {
            files.iter().map(|file| examine(root, file, limits)).collect()
        });
        let examined = examined.await?;
        let (mut fit, mut rows) = (Vec::new(), Vec::new());
        for ((file, row), examined) in chunk.into_iter().zip(examined) {
            match examined {
                Err(reason) => self.not_deleted(&row, reason),
                Ok(()) if self.cleanup.requests.is_none() => {
                    self.summary.would_delete.add_file(row.identity.size);
                    (self.on_outcome)(&row, &FileOutcome::WouldDelete);
                }
                Ok(()) => {
                    fit.push(file);
                    rows.push(row);
                }
            }
        }
        let (fit, rows) = self.prove_again(fit, rows).await?;
        if fit.is_empty() {
            return Ok(0);
        }
        self.remove(watch, limits, fit, rows).await
    }

    /// Returns the files that S3 still has. Hashing them and the chunks before them may have taken hours.
    async fn prove_again(
        &mut self,
        files: Vec<ProvenFile>,
        rows: Vec<CleanupRow>,
    ) -> Result<(Vec<ProvenFile>, Vec<CleanupRow>), CleanupError> {
        if rows.is_empty() {
            return Ok((files, rows));
        }
        let min_days = self.cleanup.policy.min_old_version_days;
        let proofs = self.cleanup.prove(rows.iter()).await?;
        let (mut proven, mut changes) = ((Vec::new(), Vec::new()), Vec::new());
        for ((file, row), proof) in files.into_iter().zip(rows).zip(proofs.files) {
            let stored = proof.stored.as_ref();
            let is_same_crc = stored.is_some_and(|it| it.crc64nvme == file.stored_crc);
            match judge_proof(&row, &proofs.versioning, stored, min_days) {
                Ok(_) if is_same_crc => {
                    proven.0.push(file);
                    proven.1.push(row);
                }
                judged => {
                    let reason = judged.err().unwrap_or(NotDeleted::ChecksumDiffers);
                    changes.push((row.local_path.clone(), CleanupChange::NotVerified));
                    self.not_deleted(&row, reason);
                }
            }
        }
        self.cleanup.record(changes).await?;
        Ok(proven)
    }

    async fn remove(
        &mut self,
        watch: &Arc<Watch>,
        limits: DiskLimits,
        files: Vec<ProvenFile>,
        rows: Vec<CleanupRow>,
    ) -> Result<u32, CleanupError> {
        let at = clock::wall_seconds();
        let deleting = |file: &ProvenFile| {
            let (identity, deleting_as) = (file.identity, file.removed_name());
            (file.local_path.clone(), CleanupChange::Deleting { identity, deleting_as, at })
        };
        self.cleanup.record(files.iter().map(deleting).collect()).await?;
        let removed =
            on_files(watch, files.clone(), move |root, files| remove(root, files, limits));
        let removed = removed.await?;
        let (mut changes, mut count) = (Vec::new(), 0);
        for ((file, row), removed) in files.iter().zip(&rows).zip(removed) {
            match removed {
                Ok(()) => {
                    count += 1;
                    self.summary.deleted.add_file(row.identity.size);
                    deleted_event(file);
                    (self.on_outcome)(row, &FileOutcome::Deleted);
                    changes.push((row.local_path.clone(), CleanupChange::Deleted));
                }
                Err(reason) => {
                    // The row stays marked, so that the next run renames the file back or finds it gone.
                    if !matches!(reason, NotDeleted::Stranded(_) | NotDeleted::Unsynced(_)) {
                        changes.push((row.local_path.clone(), CleanupChange::NotDeleted));
                    }
                    self.not_deleted(row, reason);
                }
            }
        }
        self.cleanup.record(changes).await?;
        Ok(count)
    }

    fn not_deleted(&mut self, row: &CleanupRow, cause: NotDeleted) {
        self.summary.kept.add_file(row.identity.size);
        let (path, reason) = (&row.local_path, cause.to_string());
        if cause.is_alarm() {
            self.summary.alarms += 1;
            tracing::warn!(event = "local_file_not_deleted", path, reason);
        } else if matches!(cause, NotDeleted::NoLease(_) | NotDeleted::NotRemoved(_))
            && !self.has_warned
        {
            self.has_warned = true;
            tracing::warn!(
                event = "local_file_not_deleted",
                path,
                reason,
                "further files with this problem are logged at level debug"
            );
        } else {
            tracing::debug!(event = "local_file_not_deleted", path, reason);
        }
        (self.on_outcome)(row, &FileOutcome::Kept(cause));
    }
}

/// Logs a deletion, with everything that is needed to get the file back.
fn deleted_event(file: &ProvenFile) {
    tracing::info!(
        event = "local_file_deleted",
        path = file.local_path,
        remote_path = file.remote_path,
        bytes = file.identity.size,
        sha256 = %file.sha256,
        version_id = file.version_id,
    );
}

fn proven_file(
    row: &CleanupRow,
    path: PathBuf,
    version_id: String,
    stored_crc: Option<String>,
) -> ProvenFile {
    let CleanupRow { local_path, remote_path, identity, sha256, .. } = row.clone();
    ProvenFile { local_path, remote_path, path, identity, sha256, version_id, stored_crc }
}
