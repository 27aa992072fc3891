//! Thaws chunks before they are received, and documents that a rule of the bucket has archived
//! before they are read.

use s3up_repository::chain::ChainEntry;
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::{RequiredObjects, Thaw, ThawMode};

use super::context::{Restore, digest};
use super::error::RestoreError;
use super::request::RestoreRequest;
use super::staging::Staging;

impl Restore<'_> {
    pub(super) fn thaw(&self) -> Thaw<'_> {
        Thaw { bucket: self.bucket, terms: self.terms, clock: self.clock, progress: &self.progress }
    }

    /// Makes every object of these entries readable: requests a thaw and waits for it, as far
    /// as the mode allows.
    pub(super) async fn thaw_all(
        &self,
        entries: &[ChainEntry],
    ) -> Result<RequiredObjects, RestoreError> {
        let document = |(key, source)| RestoreError::Document { key, source };
        let wanted = RequiredObjects::of(entries).map_err(document)?;
        self.thaw_wanted(&wanted, self.mode).await?;
        Ok(wanted)
    }

    /// Reads documents. If one of them is archived, thaws those of all backups of the subvolume
    /// first, as far as the mode allows. `entries` is the chain, as soon as it is known: its
    /// chunks are then thawed at the same time.
    pub(super) async fn readable<T>(
        &self,
        request: &RestoreRequest,
        entries: &[ChainEntry],
        read: impl AsyncFn() -> Result<T, RestoreError>,
    ) -> Result<T, RestoreError> {
        match read().await {
            Err(err) if err.is_archived_object() => {}
            outcome => return outcome,
        }
        let (bucket, subvolume) = (self.bucket, &request.subvolume);
        let mut wanted = RequiredObjects::documents_of(bucket, self.layout, subvolume).await?;
        let digests: Vec<_> = entries.iter().map(digest).collect();
        let received = Staging::count_received(self.btrfs, &request.target, &digests).await?;
        let document = |(key, source)| RestoreError::Document { key, source };
        wanted.chunks = RequiredObjects::of(&entries[received..]).map_err(document)?.chunks;
        warn_of_archived_documents(subvolume);
        self.thaw_wanted(&wanted, self.mode).await?;
        read().await
    }

    async fn thaw_wanted(
        &self,
        wanted: &RequiredObjects,
        mode: ThawMode,
    ) -> Result<(), RestoreError> {
        let thawed = self.thaw().run(wanted, mode).await?;
        if !thawed.is_ready() {
            let state = thawed.state;
            return Err(RestoreError::Archived { state: Box::new(state), mode });
        }
        if thawed.requested > 0 {
            let waited_seconds = thawed.waited.as_secs();
            tracing::info!(event = "thaw_complete", waited_seconds, "{}", thawed.state);
        }
        Ok(())
    }
}

/// Warns that a rule of the bucket archives what is needed to find the chunks.
pub fn warn_of_archived_documents(subvolume: &SubvolumeName) {
    tracing::warn!(
        event = "documents_archived",
        %subvolume,
        "manifests or part indexes are archived and have to be thawed before anything else can \
         be read; limit the lifecycle rule of the bucket to keys that begin with \
         `…/full/chunk-` and `…/incremental/chunk-`"
    );
}
