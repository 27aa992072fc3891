//! Aborts multipart uploads left behind by a gateway that died. S3 charges for their parts, and a listing
//! does not show them.
//!
//! A sweep lists only the prefixes below which clients store files, and aborts only uploads older than a
//! limit: a younger one may be running, on this gateway or on another one.

use std::time::{Duration, SystemTime};

use s3up_core::{ClientName, KeyPrefix, error_chain};
use s3up_store::{AbandonedUpload, SWEEP_AGE, Settings, Store, StoreError};

use crate::clock::CLOCK;
use crate::start::error::StartError;

/// Time for which a failing request is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Effect of a sweep on the uploads that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SweepMode {
    Abort,
    List,
}

/// Finds abandoned uploads, and aborts them unless it only lists them.
pub(crate) struct Sweeper {
    store: Store,
    prefixes: Vec<String>,
    started_before: SystemTime,
}

impl Sweeper {
    /// Connects to S3. An upload that is older than `older_than` is abandoned.
    pub(crate) async fn connect(
        settings: Settings,
        prefixes: Vec<String>,
        older_than: Duration,
    ) -> Result<Sweeper, StartError> {
        Ok(Sweeper::new(Store::connect(settings).await?, prefixes, older_than))
    }

    pub(crate) fn new(store: Store, prefixes: Vec<String>, older_than: Duration) -> Sweeper {
        let now = CLOCK.now();
        let started_before = now.checked_sub(older_than).unwrap_or(SystemTime::UNIX_EPOCH);
        Sweeper { store, prefixes, started_before }
    }

    /// Calls `found` for each abandoned upload, before it is aborted. Returns how many there were.
    pub(crate) async fn sweep(
        &self,
        mode: SweepMode,
        mut found: impl FnMut(&AbandonedUpload),
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        for prefix in &self.prefixes {
            let mut uploads = self.store.abandoned_uploads(prefix, self.started_before, RETRY_FOR);
            while let Some(page) = uploads.next_page().await? {
                for upload in &page {
                    found(upload);
                    if mode == SweepMode::Abort {
                        self.store.abort_abandoned(upload, RETRY_FOR).await?;
                    }
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// Aborts what an earlier run of a gateway left behind. A failure is only logged: nothing depends on it.
pub(crate) async fn sweep_at_start(store: Store, prefixes: Vec<String>) {
    match Sweeper::new(store, prefixes, SWEEP_AGE).sweep(SweepMode::Abort, |_| {}).await {
        Ok(0) => {}
        Ok(uploads) => {
            tracing::info!(event = "uploads_swept", uploads, "aborted abandoned multipart uploads")
        }
        Err(err) => tracing::warn!(
            event = "sweep_failed",
            error = error_chain(&err),
            "cannot list multipart uploads of earlier runs; give the bucket a lifecycle rule that aborts \
             them (AbortIncompleteMultipartUpload)"
        ),
    }
}

/// Returns the prefixes below which clients store files. Without a prefix of its own, a gateway may share the bucket, so
/// only the prefixes of its clients are its own.
pub(crate) fn prefixes(
    prefix: &KeyPrefix,
    clients: impl Iterator<Item = ClientName>,
) -> Vec<String> {
    match prefix.as_str() {
        "" => clients.map(|client| format!("{client}/")).collect(),
        prefix => vec![prefix.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_gateway_is_swept() {
        let clients = || ["webapp", "web"].map(|name| ClientName::parse(name).unwrap()).into_iter();
        let found = |prefix| prefixes(&KeyPrefix::parse(prefix).unwrap(), clients());
        assert_eq!(found("sites"), ["sites/"]);
        assert_eq!(found(""), ["webapp/", "web/"]);
    }
}
