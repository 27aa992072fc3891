//! What stands before the receiving: the thaw.

use std::collections::BTreeMap;

use s3up_core::Key;
use s3up_repository::chain::ChainEntry;
use s3up_repository::thaw::{Mode, Thaw, chunks_of};

use super::Restore;
use super::error::RestoreError;

impl Restore<'_> {
    pub(super) fn thaw(&self) -> Thaw<'_> {
        Thaw { bucket: self.bucket, terms: self.terms, clock: self.clock, progress: &self.progress }
    }

    /// Every chunk of these links can be read. What cannot is asked for and waited
    /// for, as far as that may be done.
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
                Mode::Look => "the others are archived, and nothing was asked for",
                Mode::Ask => "the others were asked for",
                Mode::Wait { .. } => "the time to wait is over; the others were asked for",
            };
            return Err(RestoreError::Archived { look, why });
        }
        if thawed.asked > 0 {
            let waited_seconds = thawed.waited.as_secs();
            tracing::info!(event = "thaw_complete", waited_seconds, "{}", thawed.look);
        }
        Ok(chunks)
    }
}
