//! The trial: receives tiny backups beside the target before anything is thawed or downloaded.
//!
//! It finds what only `btrfs receive` finds, whatever the cause: a filter of system calls, a
//! security module, a full disk. Content that not every backup has is tried as well, and a warning
//! says what would fail.

use std::io::Write;
use std::path::Path;

use btrfs_host::receivable::Receivable;
use btrfs_host::receive::{ReceiveError, Receiver};
use btrfs_sendstream::Uuid;
use btrfs_sendstream::trial::{self, TrialContent};
use s3up_core::error_chain;

use super::context::Restore;
use super::error::RestoreError;
use super::staging::Staging;
use super::uuid_rewrite::UuidSalt;

impl Restore<'_> {
    /// Receives a full and, if the chain has one, an incremental, and removes them again.
    pub(super) async fn try_to_receive(
        &self,
        staging: &Staging,
        backups: usize,
        receivable: &Receivable,
    ) -> Result<(), RestoreError> {
        staging.make_trial(self.btrfs).await?;
        let outcome = self.receive_trial(staging, backups, receivable).await;
        staging.clear_trial(self.btrfs).await?;
        outcome
    }

    async fn receive_trial(
        &self,
        staging: &Staging,
        backups: usize,
        receivable: &Receivable,
    ) -> Result<(), RestoreError> {
        let directory = staging.trial();
        let uuids = [random()?, random()?];
        self.receive_stream(&directory, &trial::full(uuids[0])).await?;
        if backups > 1 {
            self.receive_stream(&directory, &trial::incremental(uuids)).await?;
        }
        // Limits that the kernel shows were named before.
        if !receivable.limits.is_empty() {
            return Ok(());
        }
        for content in TrialContent::ALL {
            let stream = trial::with_content(content, random()?);
            match self.receive_stream(&directory, &stream).await {
                Err(RestoreError::Trial { source, .. }) => warn(staging, content, &source),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn receive_stream(&self, directory: &Path, stream: &[u8]) -> Result<(), RestoreError> {
        let fail = |source| RestoreError::Trial { path: directory.to_owned(), source };
        let (mut receiver, mut pipe) = Receiver::start(self.btrfs, directory).map_err(fail)?;
        // The pipe holds far more than a trial stream, so this does not block.
        let written = pipe.write_all(stream);
        drop(pipe);
        let outcome = self.unless_stopped(async {
            match written {
                Ok(()) => receiver.finish().await.map_err(fail),
                Err(source) => Err(fail(receiver.cause(source).await)),
            }
        });
        let outcome = outcome.await;
        if let Err(RestoreError::Stopped(_)) = outcome {
            receiver.stop().await;
        }
        outcome
    }
}

fn random() -> Result<Uuid, RestoreError> {
    Ok(Uuid(UuidSalt::random()?.0))
}

fn warn(staging: &Staging, content: TrialContent, err: &ReceiveError) {
    tracing::warn!(
        event = "target_limited",
        path = %staging.directory().display(),
        "a restore to this host fails if the backups contain {}: {}",
        content.name(),
        error_chain(err)
    );
}
