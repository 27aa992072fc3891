//! Why a restore did not happen.

use std::path::PathBuf;

use btrfs_host::filesystem::MountPointError;
use btrfs_host::receive::ReceiveError;
use btrfs_host::send::SendError;
use btrfs_host::subvolume::SubvolumeError;
use btrfs_host::tool::ToolError;
use s3up_cli::Signal;
use s3up_core::Key;
use s3up_repository::catalogue::read::CatalogueError;
use s3up_repository::documents::ReadChainError;
use s3up_repository::fetch::FetchError;
use s3up_repository::manifest::DocumentError;
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::{Look, ThawError};
use s3up_store::{Kind, StoreError};

use super::uuid_rewrite::OtherBase;
use crate::compare::{CompareError, Proof};
use crate::restore::staging::StagingError;
use crate::snapshots::dir::SnapshotDirError;
use crate::snapshots::received_parent::KeepError;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("target {path:?}: expected an absolute path without `..` that names a new subvolume")]
    TargetPath { path: PathBuf },
    #[error("target {path:?} exists; choose a path that does not, or move it away first")]
    TargetExists { path: PathBuf },
    #[error("the folder of the target")]
    TargetFolder(#[source] MountPointError),
    #[error("a restore has to write in the folder of the target, {path:?}; make it writable")]
    TargetFolderReadOnly { path: PathBuf, source: std::io::Error },
    #[error("nothing is published for the subvolume {subvolume}: there is no {pointer}; {found}")]
    NothingPublished { subvolume: SubvolumeName, pointer: Key, found: String },
    #[error("nothing of the subvolume {subvolume} was made at {at} or before: {found}")]
    NothingSoOld { subvolume: SubvolumeName, at: String, found: String },
    #[error(
        "{manifest} is a stream of protocol 2, which `btrfs receive` of btrfs-progs {found} \
         damages; it needs 6.2 or later"
    )]
    ProgramTooOld { manifest: Key, found: String },
    #[error("look how much space is free at {path:?}")]
    FreeSpace { path: PathBuf, source: std::io::Error },
    #[error("pointer {key}")]
    Pointer { key: Key, source: DocumentError },
    #[error("manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("manifest {key} is of the subvolume {found:?}, asked for was {asked}")]
    OtherSubvolume { key: Key, found: String, asked: SubvolumeName },
    #[error("{manifest} was received wrong: {what} is {found}, expected {expected}")]
    Received { manifest: Key, what: &'static str, expected: String, found: String },
    #[error(
        "{manifest}: `btrfs receive` took the subvolume {found} for its parent, another received \
         copy on this filesystem; restore onto a filesystem without one, one restore at a time, \
         or delete that copy"
    )]
    OtherParent { manifest: Key, found: String },
    #[error("{manifest} does not follow the link before it")]
    Base { manifest: Key, source: OtherBase },
    #[error("hand the stream of {manifest} to `btrfs receive`")]
    Pipe { manifest: Key, source: std::io::Error },
    #[error("the thread that proves the stream of {manifest} has died")]
    FeederDied { manifest: Key },
    #[error("set the times of the restored subvolume, {path:?}")]
    RootTimes { path: PathBuf, source: std::io::Error },
    #[error("give the restored subvolume its name {path:?}")]
    HandOver { path: PathBuf, source: std::io::Error },
    #[error("{look}; {why}")]
    Archived { look: Look, why: &'static str },
    #[error(
        "what was received of {manifest} is not the source snapshot, and is not handed over; it \
         stays where it is, and `--verify none` hands it over without another download: {proof}"
    )]
    Differs { manifest: Key, proof: Box<Proof> },
    #[error("the chain has no links")]
    NoLinks,
    #[error("stopped by a signal")]
    Stopped(Signal),
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Chain(#[from] ReadChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Subvolume(#[from] SubvolumeError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("look at what was received")]
    Identity(#[from] SendError),
    #[error("keep the parent of the next incremental")]
    Keep(#[from] KeepError),
    #[error("keep the parent of the next incremental")]
    SnapshotDir(#[from] SnapshotDirError),
    #[error("choose a name for this run")]
    Random(#[from] getrandom::Error),
}

impl RestoreError {
    /// Whether it says nothing of the data: the same command may well succeed
    /// later, and goes on from what is whole.
    pub fn is_interruption(&self) -> bool {
        // What differs was received whole, and thawed and downloaded for that; of
        // what is still archived nothing was read.
        match self {
            RestoreError::Stopped(_)
            | RestoreError::Differs { .. }
            | RestoreError::Archived { .. }
            | RestoreError::Thaw(_) => true,
            err => err.of_store().is_some_and(|source| !is_of_data(source.kind)),
        }
    }

    /// Whether it is the bucket that does not have this backup whole.
    pub fn is_of_data(&self) -> bool {
        if let Some(source) = self.of_store() {
            return is_of_data(source.kind);
        }
        matches!(
            self,
            RestoreError::Pointer { .. }
                | RestoreError::Document { .. }
                | RestoreError::Base { .. }
                | RestoreError::Fetch(_)
                | RestoreError::Chain(_)
        )
    }

    /// What the store said.
    fn of_store(&self) -> Option<&StoreError> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others are of no call")]
        match self {
            RestoreError::Fetch(err) => err.of_store(),
            RestoreError::Store(source) | RestoreError::Chain(ReadChainError::Store(source)) => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// What the store has is not what it should have.
fn is_of_data(kind: Kind) -> bool {
    matches!(kind, Kind::NotFound | Kind::Precondition | Kind::TooLong | Kind::Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_nothing_of_the_data_is_an_interruption() {
        let fetch = |kind| {
            let key = Key::parse("a").unwrap();
            let subject = key.to_string();
            let source = StoreError { op: "get", subject, kind, retry_after: None, source: None };
            RestoreError::Fetch(FetchError::Download { manifest: key, source })
        };
        #[rustfmt::skip]
        let cases = [
            (RestoreError::Stopped(Signal::Terminated), true),
            (fetch(Kind::Transient),                 true),
            (fetch(Kind::Denied),                    true),
            (fetch(Kind::Archived),                  true),
            (fetch(Kind::Corrupt),                   false),
            (fetch(Kind::NotFound),                  false),
            (fetch(Kind::Precondition),              false),
            (RestoreError::Archived { look: Look::default(), why: "" }, true),
            (RestoreError::NoLinks,                  false),
        ];
        for (err, want) in cases {
            assert_eq!(err.is_interruption(), want, "{err:?}");
            let is_of_data = matches!(&err, RestoreError::Fetch(_)) && !want;
            assert_eq!(err.is_of_data(), is_of_data, "{err:?}");
        }
    }
}
