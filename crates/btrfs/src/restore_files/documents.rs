//! Finds the chain, its indexes and the files of a restore, and the documents that have to be
//! thawed before they can be read.
//!
//! Objects that a rule of the bucket has archived are thawed in up to three steps, each with those
//! alone that the step before shows to be needed: manifests, the indexes of the chain, and then the
//! chunks that hold the files, with their part indexes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use btrfs_stream_index::chain::IndexChain;
use s3up_core::Key;
use s3up_repository::chain::Chain;
use s3up_repository::documents::Bucket;
use s3up_repository::layout::index_key;
use s3up_repository::thaw::RequiredObjects;
use s3up_store::ArchiveState;

use super::context::{FileRequest, FileRestore};
use super::document_kind::DocumentKind;
use super::error::FileRestoreError;
use super::selection::PathSelection;
use crate::browse;
use crate::restore::error::RestoreError;
use crate::restore::preview::class_of;
use crate::restore::select_backup::ChainReader;
use crate::restore::thaw_chunks::warn_of_archived_documents;
use crate::restore::thaw_estimate::{ArchivedChunks, archived_chunks};

const REQUESTS_IN_FLIGHT: usize = 16;
/// Number of steps: manifests, then indexes.
const STEPS_MAX: usize = 2;

/// The chain of the selected backup, and the files that are wanted of it.
pub(super) struct Selected {
    pub(super) chain: Chain,
    pub(super) indexes: Arc<IndexChain>,
    pub(super) selection: PathSelection,
}

/// The files, or what has to be thawed before they can be found.
pub(super) enum Selection {
    Found(Box<Selected>),
    Archived(ArchivedDocuments),
}

/// Documents that are archived, of which some are needed.
pub(super) struct ArchivedDocuments {
    kind: DocumentKind,
    objects: RequiredObjects,
}

/// Documents that a restore thaws before it knows the chunks that hold the files.
#[derive(Debug)]
pub struct DocumentsPreview {
    pub kind: DocumentKind,
    /// The documents that cannot be read, by storage class.
    pub thaw: Vec<ArchivedChunks>,
    /// Keys of these documents.
    pub to_thaw: Vec<Key>,
}

impl FileRestore<'_> {
    /// Finds the files. Thaws documents first, as far as the mode allows.
    pub(super) async fn select(&self, request: &FileRequest) -> Result<Selected, FileRestoreError> {
        for _ in 0..STEPS_MAX {
            match self.try_select(request).await? {
                Selection::Found(selected) => return Ok(*selected),
                Selection::Archived(archived) => {
                    warn_of_archived_documents(&request.subvolume);
                    self.thaw(&archived.objects).await?;
                }
            }
        }
        match self.try_select(request).await? {
            Selection::Found(selected) => Ok(*selected),
            Selection::Archived(archived) => {
                Err(FileRestoreError::StillArchived { kind: archived.kind })
            }
        }
    }

    /// Thaws the documents without which the files cannot be found, as far as the mode allows.
    pub async fn thaw_documents(&self, request: &FileRequest) -> Result<(), FileRestoreError> {
        match self.try_select(request).await? {
            Selection::Found(_) => Ok(()),
            Selection::Archived(archived) => {
                warn_of_archived_documents(&request.subvolume);
                self.thaw(&archived.objects).await
            }
        }
    }

    pub(super) async fn try_select(
        &self,
        request: &FileRequest,
    ) -> Result<Selection, FileRestoreError> {
        tokio::select! {
            selected = self.find(request) => selected,
            stop = self.shutdown.wait() => Err(FileRestoreError::Stopped(stop)),
        }
    }

    async fn find(&self, request: &FileRequest) -> Result<Selection, FileRestoreError> {
        let FileRequest { subvolume, backup, .. } = request;
        let (bucket, layout) = (self.bucket, self.layout);
        let reader = ChainReader { bucket, layout, subvolume };
        let chain = match reader.chain(backup).await {
            Err(err) if err.is_archived_object() => {
                let objects = RequiredObjects::manifests_of(bucket, layout, subvolume).await;
                let (kind, objects) =
                    (DocumentKind::Manifests, objects.map_err(RestoreError::from)?);
                return Ok(Selection::Archived(ArchivedDocuments { kind, objects }));
            }
            chain => chain?,
        };
        let found = async {
            let indexes = Arc::new(browse::open(bucket, &chain).await?);
            let (of_thread, wanted) = (Arc::clone(&indexes), request.wanted.clone());
            let find = move || PathSelection::find(&of_thread, &wanted);
            Ok((indexes, browse::on_own_thread(find).await?))
        };
        match found.await {
            Ok((indexes, selection)) => {
                Ok(Selection::Found(Box::new(Selected { chain, indexes, selection })))
            }
            Err(browse_error) if browse::is_archived(&browse_error) => {
                let documents = chain.entries().iter().map(|entry| index_key(&entry.key)).collect();
                let objects = RequiredObjects { documents, ..RequiredObjects::default() };
                let kind = DocumentKind::Indexes;
                Ok(Selection::Archived(ArchivedDocuments { kind, objects }))
            }
            Err(err) => Err(FileRestoreError::Browse(err)),
        }
    }
}

impl ArchivedDocuments {
    pub(super) async fn preview(
        self,
        bucket: &Bucket,
        now: SystemTime,
    ) -> Result<DocumentsPreview, FileRestoreError> {
        let documents = StoredDocuments::read(bucket, &self.objects.documents, now).await?;
        let (thaw, to_thaw) = (archived_chunks(documents.states()), documents.to_thaw());
        Ok(DocumentsPreview { kind: self.kind, thaw, to_thaw })
    }
}

/// Key, storage class, length and state of each document that is, or was, archived.
pub(super) struct StoredDocuments(Vec<(Key, String, u64, ArchiveState)>);

impl StoredDocuments {
    pub(super) async fn read(
        bucket: &Bucket,
        keys: &BTreeSet<Key>,
        now: SystemTime,
    ) -> Result<StoredDocuments, FileRestoreError> {
        let keys: Vec<_> = keys.iter().cloned().collect();
        let states = bucket.store.archive_states(&keys, REQUESTS_IN_FLIGHT, bucket.retry_for, now);
        let states = states.await.map_err(RestoreError::from)?;
        let mut documents = Vec::new();
        for (key, state) in states.into_iter().filter(|(_, it)| *it != ArchiveState::NotArchived) {
            let found = bucket.store.head(&key, None, bucket.retry_for).await;
            if let Some(found) = found.map_err(RestoreError::from)? {
                let class = class_of(&found).to_owned();
                documents.push((key, class, found.size, state));
            }
        }
        Ok(StoredDocuments(documents))
    }

    /// Returns class, length and state of each.
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, u64, ArchiveState)> {
        self.0.iter().map(|(_, class, bytes, state)| (class.as_str(), *bytes, *state))
    }

    /// Returns the keys of those that cannot be read now.
    pub(super) fn to_thaw(&self) -> Vec<Key> {
        let cannot_be_read = self.0.iter().filter(|(_, _, _, state)| is_archived(*state));
        cannot_be_read.map(|(key, ..)| key.clone()).collect()
    }
}

/// Returns true for an object that cannot be read now.
pub(super) fn is_archived(state: ArchiveState) -> bool {
    matches!(state, ArchiveState::Archived | ArchiveState::InProgress)
}
