//! Restores files of a backup to any filesystem, without `btrfs receive`.
//!
//! ```text
//!   indexes of the chain -> gather: decide about each file, collect the pieces of its content
//!      -> the parts that hold the pieces -> thaw, download, verify -> staged files
//!      -> synced -> place: metadata, names
//! ```
//!
//! Only the parts of the chunks that hold bytes of these files are downloaded, each once and in
//! the order of the streams, and verified by its SHA-256 before a byte of it is used. A file gets
//! its name only when all of it was verified and is on the disk. Everything is opened beneath the
//! target without following a symlink.
//!
//! Needs neither btrfs nor root. What cannot be set without the rights for it is counted and
//! reported ([`summary`]).

mod context;
mod decode;
mod document_kind;
pub mod documents;
pub mod error;
pub mod existing;
mod gather;
mod metadata;
mod numbers;
mod piece;
mod place;
pub mod preview;
pub mod selection;
mod staging;
pub mod summary;
mod target;
mod write;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use btrfs_stream_index::sort::Sorter;
use s3up_repository::fetch::parts::{FetchedPart, PartPlan, RequiredParts};
use s3up_repository::thaw::RequiredObjects;
use tokio::sync::mpsc;

pub use self::context::{FileRequest, FileRestore, Placement};
use self::documents::{Selected, Selection};
use self::error::FileRestoreError;
use self::existing::ExistingFiles;
use self::gather::{GatherFor, Gathered, gather};
use self::place::{PlaceAt, finish_target, place_files};
use self::preview::{FilesPlan, FilesPreview};
use self::staging::FileStaging;
use self::summary::RestoredFiles;
use self::target::{OpenTarget, find_target, open_target, rename_new};
use self::write::{DamagedFiles, write_pieces};
use crate::restore::preflight;

/// Number of verified parts that wait for the writer.
const PARTS_MAX: usize = 1;

impl FileRestore<'_> {
    /// Restores the files.
    pub async fn run(&self, request: &FileRequest) -> Result<RestoredFiles, FileRestoreError> {
        if request.placement == Placement::New {
            preflight::check_new(&request.target)?;
        }
        let selected = self.select(request).await?;
        let directory = request.directory(&selected.chain.newest().key);
        let fail = |source| FileRestoreError::Target { path: directory.clone(), source };
        let (target, is_new) = open_target(&directory).map_err(fail)?;
        let is_new = is_new || request.placement == Placement::New;
        let (staging, killed) = FileStaging::create(&target, is_new)
            .map_err(|source| FileRestoreError::Staging { path: directory.clone(), source })?;
        let is_resumed = killed.is_some();
        let is_new = is_new || killed.is_some_and(|killed| killed.had_new_target);
        let fd = target.try_clone().map_err(fail)?;
        let open = OpenTarget { fd, is_new, is_resumed };
        let (staging, restored) =
            self.restore_into(&directory, request.overwrite, &selected, open, staging).await;
        let removed = staging.map(|staging| staging.remove(&target));
        let mut restored = restored?;
        if let Some(Err(err)) = removed {
            let path = directory.display();
            tracing::warn!(event = "cleanup_failed", %path, "remove the staging directory: {err}");
        }
        if selected.selection.is_whole() {
            let open = OpenTarget { fd: target.try_clone().map_err(fail)?, is_new, is_resumed };
            let (indexes, overwrite) = (Arc::clone(&selected.indexes), request.overwrite);
            let finishing = tokio::task::spawn_blocking(move || {
                finish_target(&indexes, &open, overwrite, &mut restored)?;
                Ok(restored)
            });
            restored = finishing.await.unwrap_or(Err(FileRestoreError::ThreadDied))?;
        }
        rustix::fs::syncfs(&target).map_err(|errno| fail(errno.into()))?;
        if request.placement == Placement::New {
            rename_new(&directory, &request.target).map_err(fail)?;
        }
        Ok(restored)
    }

    /// Returns what [`run`](FileRestore::run) would do. Changes nothing.
    pub async fn preview(&self, request: &FileRequest) -> Result<FilesPlan, FileRestoreError> {
        if request.placement == Placement::New {
            preflight::check_new(&request.target)?;
        }
        let selected = match self.try_select(request).await? {
            Selection::Found(selected) => *selected,
            Selection::Archived(documents) => {
                let preview = documents.preview(self.bucket, self.clock.now()).await?;
                return Ok(FilesPlan::DocumentsFirst(preview));
            }
        };
        let directory = request.directory(&selected.chain.newest().key);
        let fail = |source| FileRestoreError::Target { path: directory.clone(), source };
        let target = find_target(&directory).map_err(fail)?;
        let gathered = self.gather(request.overwrite, &selected, target, None).await?;
        let plan = PartPlan::survey(self.bucket, &gathered.required, self.concurrency).await?;
        let now = self.clock.now();
        let preview = FilesPreview::of(self.bucket, &selected.chain, gathered, &plan, now).await?;
        Ok(FilesPlan::Files(Box::new(preview)))
    }

    async fn gather(
        &self,
        overwrite: ExistingFiles,
        selected: &Selected,
        target: Option<OwnedFd>,
        pieces: Option<Sorter>,
    ) -> Result<Gathered, FileRestoreError> {
        let required = RequiredParts::new(selected.chain.entries())?;
        let (indexes, selection) = (Arc::clone(&selected.indexes), selected.selection.clone());
        let (manifest, shutdown) = (selected.chain.newest().key.clone(), self.shutdown.clone());
        let gathered = tokio::task::spawn_blocking(move || {
            let gather_for = GatherFor { target, manifest, overwrite, shutdown };
            gather(&indexes, &selection, required, pieces, gather_for)
        });
        gathered.await.unwrap_or(Err(FileRestoreError::ThreadDied))
    }

    /// Restores into an open target. Returns the staging directory, unless a thread has died with
    /// it.
    async fn restore_into(
        &self,
        directory: &Path,
        overwrite: ExistingFiles,
        selected: &Selected,
        target: OpenTarget,
        staging: FileStaging,
    ) -> (Option<FileStaging>, Result<RestoredFiles, FileRestoreError>) {
        let prepared = async {
            let fail = |source| FileRestoreError::Target { path: directory.to_owned(), source };
            let twin = target.fd.try_clone().map_err(fail)?;
            let sorter = Sorter::new(directory);
            let mut gathered = self.gather(overwrite, selected, Some(twin), Some(sorter)).await?;
            let sorter = gathered.pieces.take().unwrap_or_else(|| Sorter::new(directory));
            let objects = gathered.required.objects();
            self.thaw(&objects).await?;
            let plan = PartPlan::check(self.bucket, &gathered.required, self.concurrency);
            let plan = tokio::select! {
                plan = plan => plan?,
                stop = self.shutdown.wait() => return Err(FileRestoreError::Stopped(stop)),
            };
            Ok((gathered, sorter, plan, objects))
        };
        let (gathered, sorter, plan, objects) = match prepared.await {
            Ok(prepared) => prepared,
            Err(err) => return (Some(staging), Err(err)),
        };
        let (staging, written) = self.write(directory, (&plan, &objects), sorter, staging).await;
        let (mut staging, damaged) = match (staging, written) {
            (Some(staging), Ok(damaged)) => (staging, damaged),
            (staging, Err(err)) => return (staging, Err(err)),
            (None, Ok(_)) => return (None, Err(FileRestoreError::ThreadDied)),
        };
        let (indexes, selection) = (Arc::clone(&selected.indexes), selected.selection.clone());
        let shutdown = self.shutdown.clone();
        let (mut numbers, mut result) = (gathered.numbers, gathered.result);
        result.fetched_bytes = plan.bytes();
        let placing = tokio::task::spawn_blocking(move || {
            let at = PlaceAt { target, staging: &mut staging, overwrite, shutdown };
            let decided = (&mut numbers, &damaged);
            let placed = place_files(&indexes, &selection, decided, at, &mut result);
            (staging, placed.map(|()| result))
        });
        match placing.await {
            Ok((staging, placed)) => (Some(staging), placed),
            Err(_) => (None, Err(FileRestoreError::ThreadDied)),
        }
    }

    /// Downloads the parts and writes the pieces, until everything is on the disk.
    async fn write(
        &self,
        directory: &Path,
        (plan, objects): (&PartPlan, &RequiredObjects),
        pieces: Sorter,
        mut staging: FileStaging,
    ) -> (Option<FileStaging>, Result<DamagedFiles, FileRestoreError>) {
        let (tx, rx) = mpsc::channel(PARTS_MAX);
        let target = directory.to_owned();
        let writing = tokio::task::spawn_blocking(move || {
            let written = write_pieces(pieces, rx, &mut staging, &target);
            let written = written.and_then(|damaged| {
                let fail = |source| FileRestoreError::Write { path: target, source };
                staging.sync().map_err(fail)?;
                Ok(damaged)
            });
            (staging, written)
        });
        let thaw = self.thawing();
        let downloaded = tokio::select! {
            downloaded = self.download(plan, tx) => downloaded,
            stop = self.shutdown.wait() => Err(FileRestoreError::Stopped(stop)),
            never = thaw.keep(objects) => match never {},
        };
        match writing.await {
            // Without an error of the download, that of the writer is the first one.
            Ok((staging, written)) => (Some(staging), downloaded.and(written)),
            Err(_) => (None, Err(FileRestoreError::ThreadDied)),
        }
    }

    async fn download(
        &self,
        plan: &PartPlan,
        tx: mpsc::Sender<FetchedPart>,
    ) -> Result<(), FileRestoreError> {
        let progress = self.progress.bytes("restore", Some(plan.bytes()));
        let mut download = plan.download();
        while let Some(part) = download.next().await? {
            progress.inc(part.range.end - part.range.start);
            if tx.send(part).await.is_err() {
                // The writer has failed, and says why.
                break;
            }
        }
        Ok(())
    }
}
