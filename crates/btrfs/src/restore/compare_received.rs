//! Compares the received tree with its source snapshot.

use s3up_repository::chain::ChainEntry;

use crate::compare::{self, CompareError, Proof};
use crate::restore::context::Restore;
use crate::restore::error::RestoreError;

impl Restore<'_> {
    /// Compares the received snapshot with the source snapshot, if this host has it.
    pub(super) async fn prove(
        &self,
        entry: &ChainEntry,
        received: compare::RestoredTree,
        early: compare::ComparedFiles,
    ) -> Result<Proof, RestoreError> {
        let Restore { btrfs, shutdown, progress, .. } = self;
        let (options, received) = (&self.compare_options, (received, early));
        let proof = options.prove(btrfs, &entry.manifest, received, shutdown, progress).await;
        let proof = proof.map_err(|err| match err {
            CompareError::Stopped(stop) => RestoreError::Stopped(stop),
            err @ (CompareError::Io { .. } | CompareError::Thread) => RestoreError::Compare(err),
        })?;
        let compared = proof.compared().cloned().unwrap_or_default();
        tracing::info!(
            event = "restore_verify_complete",
            subvolume = %entry.manifest.subvolume,
            mode = proof.as_str(),
            files = compared.files,
            files_compared = compared.files_read,
            files_compared_early = compared.files_early,
            bytes_compared = compared.bytes_read,
            differences = compared.differences.count,
            "{proof}"
        );
        if compared.differences.count > 0 {
            let manifest = entry.key.clone();
            return Err(RestoreError::Differs { manifest, proof: Box::new(proof) });
        }
        Ok(proof)
    }
}
