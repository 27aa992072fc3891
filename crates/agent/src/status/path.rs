//! The state of one file, or of the files in one directory, for `s3up status PATH`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use super::dir_status::DirStatus;
use super::{StatusReader, policy};
use crate::database::DatabaseError;
use crate::files::confined_fs::{self, Root};
use crate::files::identity::Identity;
use crate::files::watch::{EntryKind, Watch};
use crate::files::writes::Evidence;
use crate::scanning::scan::{Scan, ScanError};
use crate::scanning::walk::{Exclusion, exclusion};
use crate::states::decide::{FilePolicy, FileProblem, PendingReason, State, decide};
use crate::states::version::ObservedFile;

#[derive(Clone, Debug)]
pub enum PathStatus {
    File(FileStatus),
    Dir(DirStatus),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    pub local_path: String,
    pub remote_path: Option<String>,
    pub state: FileState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    Protected,
    Pending(PendingReason),
    Baseline,
    Excluded(Exclusion),
    Problem(FileProblem),
    Missing,
    /// A cleanup deleted it, at this time in Unix seconds.
    LocallyDeleted(i64),
}

/// The type of the entry at a path.
enum Entry {
    File(ObservedFile),
    Dir,
    Missing,
    Excluded(Exclusion),
    Unreadable(String),
}

impl FileState {
    pub fn as_str(&self) -> &'static str {
        match self {
            FileState::Protected => "protected",
            FileState::Pending(_) => "pending",
            FileState::Baseline => "baseline",
            FileState::Excluded(_) => "excluded",
            FileState::Problem(_) => "problem",
            FileState::Missing => "missing",
            FileState::LocallyDeleted(_) => "deleted",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PathError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl StatusReader {
    /// Returns the state of the file or directory at an absolute path; `None` if no watch
    /// contains it.
    pub async fn path(&self, path: &Path) -> Result<Option<PathStatus>, PathError> {
        let containing = self.config.watches.iter().find_map(|watch| {
            let relative = path.strip_prefix(&watch.root).ok()?;
            Some((Arc::new(watch.clone()), relative.to_owned()))
        });
        let Some((watch, path)) = containing else { return Ok(None) };
        let observed = tokio::task::spawn_blocking({
            let (watch, path) = (watch.clone(), path.clone());
            move || observe(&watch, &path)
        });
        let state = self.reader.watch_state(&watch.local_prefix()).await?;
        let policy = policy(&self.config, state.as_ref());
        let state = match observed.await.unwrap_or_else(|err| Entry::Unreadable(err.to_string())) {
            Entry::Dir => {
                let status = self.directory(watch, path, policy).await?;
                return Ok(Some(PathStatus::Dir(status)));
            }
            Entry::File(file) => self.file(&watch, &path, &file, &policy).await?,
            Entry::Missing => {
                let deleted_at = self.reader.deleted_at(&watch.local_path(&path)).await?;
                deleted_at.map_or(FileState::Missing, FileState::LocallyDeleted)
            }
            Entry::Excluded(reason) => FileState::Excluded(reason),
            Entry::Unreadable(error) => FileState::Problem(FileProblem::Unreadable(error)),
        };
        let remote_path = watch.remote_path(&path).ok();
        Ok(Some(PathStatus::File(FileStatus {
            local_path: watch.local_path(&path),
            remote_path: remote_path.map(|path| path.as_str().to_owned()),
            state,
        })))
    }

    async fn file(
        &self,
        watch: &Watch,
        path: &Path,
        observed: &ObservedFile,
        policy: &FilePolicy,
    ) -> Result<FileState, DatabaseError> {
        let known = self.reader.known(&[watch.local_path(path)]).await?;
        let known = known.into_iter().next().unwrap_or_default();
        Ok(match decide(observed, &watch.remote_path(path), &known, policy) {
            State::Protected => FileState::Protected,
            State::Baseline { .. } => FileState::Baseline,
            State::Pending(reason) => FileState::Pending(reason),
            State::Problem(problem) => FileState::Problem(problem),
        })
    }

    async fn directory(
        &self,
        watch: Arc<Watch>,
        path: PathBuf,
        policy: FilePolicy,
    ) -> Result<DirStatus, PathError> {
        let local_path = watch.local_path(&path);
        let mut scan = Scan::of_directory(watch, path, self.reader.clone(), policy);
        while scan.next().await?.is_some() {}
        let report = scan.finish().await?;
        Ok(DirStatus::of(local_path, report))
    }
}

fn observe(watch: &Watch, path: &Path) -> Entry {
    let root = match Root::open(&watch.root) {
        Ok(root) => root,
        Err(err) => return Entry::Unreadable(format!("open {:?}: {err}", watch.root)),
    };
    if path.as_os_str().is_empty() {
        return Entry::Dir;
    }
    let stat = root.stat(path);
    let kind = match &stat {
        Ok(stat) if confined_fs::file_type(stat) == FileType::Directory => EntryKind::Dir,
        Ok(_) | Err(_) => EntryKind::Other,
    };
    if watch.excludes_beneath(path, kind) {
        return Entry::Excluded(Exclusion::Pattern);
    }
    let depth = path.components().count();
    if !watch.recursive && (depth > 1 || kind == EntryKind::Dir) {
        return Entry::Excluded(Exclusion::NotRecursive);
    }
    match stat {
        Ok(_) if kind == EntryKind::Dir => match root.directory(path) {
            Ok(_) => Entry::Dir,
            Err(err) if confined_fs::crosses_mount_point(&err) => {
                Entry::Excluded(Exclusion::OtherFilesystem)
            }
            Err(err) => Entry::Unreadable(err.to_string()),
        },
        Ok(stat) => match exclusion(confined_fs::file_type(&stat)) {
            None => Entry::File(ObservedFile {
                identity: Identity::of(&stat),
                filesystem: root.filesystem,
                evidence: Evidence::Seen,
            }),
            Some(exclusion) => Entry::Excluded(exclusion),
        },
        Err(err) if confined_fs::is_gone(&err) => Entry::Missing,
        Err(err) if confined_fs::is_refused_type(&err) => Entry::Excluded(Exclusion::Symlink),
        Err(err) => Entry::Unreadable(err.to_string()),
    }
}
