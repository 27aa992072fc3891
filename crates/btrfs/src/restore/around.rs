//! The steps before and after receiving: the thaw and the comparison.

use std::collections::BTreeMap;
use std::path::Path;

use s3up_core::Key;

use super::error::RestoreError;
use super::{Restore, digests};
use crate::chain::{Chain, ChainEntry};
use crate::compare::{self, CompareError, Proof};
use crate::staging::Staging;
use crate::thaw::{Mode, Thaw, chunks_of};

impl Restore<'_> {
    pub(super) fn thaw(&self) -> Thaw<'_> {
        Thaw { bucket: self.bucket, terms: self.terms, clock: self.clock }
    }

    /// Returns how many backups of the chain an interrupted restore has received. This is
    /// checked again when the restore resumes from them.
    pub(super) async fn resumable_count(
        &self,
        target: &Path,
        chain: &Chain,
    ) -> Result<usize, RestoreError> {
        let Some(staging) = Staging::left(target)? else { return Ok(0) };
        let whole = staging.whole(self.btrfs, &digests(chain)).await;
        Ok(whole.map_or(0, |(count, _)| count))
    }

    /// Makes every chunk of these entries readable: requests a thaw and waits for it, as far
    /// as the mode allows.
    pub(super) async fn thaw_all(
        &self,
        links: &[ChainEntry],
    ) -> Result<BTreeMap<Key, u64>, RestoreError> {
        let document = |(key, source)| RestoreError::Document { key, source };
        let chunks = chunks_of(links).map_err(document)?;
        let thawed = self.thaw().run(&chunks, self.mode).await?;
        if !thawed.is_ready() {
            let look = thawed.look;
            let why = match self.mode {
                Mode::Look => "the others are archived, and no thaw was requested",
                Mode::Ask => "a thaw of the others was requested",
                Mode::Wait { .. } => {
                    "the time to wait is over, and the thaw of the others is still in progress"
                }
            };
            return Err(RestoreError::Archived { look, why });
        }
        if thawed.asked > 0 {
            let waited_seconds = thawed.waited.as_secs();
            tracing::info!(event = "thaw_complete", waited_seconds, "{}", thawed.look);
        }
        Ok(chunks)
    }

    /// Compares the received snapshot with the source snapshot, if this host has it.
    pub(super) async fn prove(
        &self,
        link: &ChainEntry,
        received: compare::Restored,
    ) -> Result<Proof, RestoreError> {
        let proof = self.proving.prove(self.btrfs, &link.manifest, received, &self.shutdown).await;
        let proof = proof.map_err(|err| match err {
            CompareError::Stopped(stop) => RestoreError::Stopped(stop),
            err @ (CompareError::Io { .. } | CompareError::Thread) => RestoreError::Compare(err),
        })?;
        let compared = proof.compared().cloned().unwrap_or_default();
        tracing::info!(
            event = "restore_verify_complete",
            subvolume = %link.manifest.subvolume,
            mode = proof.word(),
            files = compared.files,
            files_compared = compared.files_read,
            bytes_compared = compared.bytes_read,
            differences = compared.differences.count,
            "{proof}"
        );
        if compared.differences.count > 0 {
            let manifest = link.key.clone();
            return Err(RestoreError::Differs { manifest, proof: Box::new(proof) });
        }
        Ok(proof)
    }
}
