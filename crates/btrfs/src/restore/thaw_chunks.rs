//! Thaws the chunks before they are received.

use std::collections::BTreeMap;

use s3up_core::Key;
use s3up_repository::chain::ChainEntry;
use s3up_repository::thaw::{Mode, Thaw, chunks_of};

use super::context::Restore;
use super::error::RestoreError;

impl Restore<'_> {
    pub(super) fn thaw(&self) -> Thaw<'_> {
        Thaw { bucket: self.bucket, terms: self.terms, clock: self.clock, progress: &self.progress }
    }

    /// Makes every chunk of these entries readable: requests a thaw and waits for it, as far
    /// as the mode allows.
    pub(super) async fn thaw_all(
        &self,
        entries: &[ChainEntry],
    ) -> Result<BTreeMap<Key, u64>, RestoreError> {
        let document = |(key, source)| RestoreError::Document { key, source };
        let chunks = chunks_of(entries).map_err(document)?;
        let thawed = self.thaw().run(&chunks, self.mode).await?;
        if !thawed.is_ready() {
            let state = thawed.state;
            let why = match self.mode {
                Mode::Observe => "the others are archived, and no thaw was requested",
                Mode::Request => "a thaw of the others was requested",
                Mode::Wait { .. } => {
                    "the time to wait is over, and the thaw of the others is still in progress"
                }
            };
            return Err(RestoreError::Archived { state, why });
        }
        if thawed.requested > 0 {
            let waited_seconds = thawed.waited.as_secs();
            tracing::info!(event = "thaw_complete", waited_seconds, "{}", thawed.state);
        }
        Ok(chunks)
    }
}
