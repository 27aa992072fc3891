//! Repeats the checks of the bucket until S3 answers.
//!
//! If S3 does not answer, the gateway starts, is not ready, and repeats the checks until S3 does.
//! Until then it refuses uploads: it cannot know which guarantees hold. What a repetition cannot
//! cure (wrong credentials, no such bucket) ends the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s3up_core::{Code, KeyPrefix, error_chain};
use s3up_store::StoreErrorKind;

use super::checks::{check_overwrite, check_versioning, warn_of_lost_settings};
use super::error::StartError;
use crate::clock::CLOCK;
use crate::live::{Live, LiveConfig};
use crate::outage::Outage;
use crate::refusal::Refusal;

/// Pause between two attempts to reach S3 after that.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Says whether the bucket was checked since the start.
#[derive(Debug, Default)]
pub(crate) struct BucketChecked(AtomicBool);

impl BucketChecked {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Refuses an upload before the bucket was checked.
    pub(crate) fn require(&self) -> Result<(), Refusal> {
        if self.get() {
            return Ok(());
        }
        let what = "the gateway has not reached S3 since it started; try again later";
        Err(Refusal::new(Code::StoreUnavailable, what))
    }
}

/// Checks the bucket with the settings of `live`.
pub(crate) async fn check(
    live: &Live,
    prefix: &KeyPrefix,
    retry_for: Duration,
) -> Result<(), StartError> {
    let Live { store, clients, require_versioning, .. } = live;
    let versioning = store.probe(prefix, retry_for).await?;
    check_versioning(versioning, store.bucket(), *require_versioning)?;
    check_overwrite(store, clients, prefix).await;
    warn_of_lost_settings(store, prefix).await;
    Ok(())
}

/// Returns true if the same check may succeed later without any change here.
pub(crate) fn is_transient(err: &StartError) -> bool {
    matches!(err, StartError::Probe(err) if is_transient_kind(err.kind))
}

/// Returns true for a failure of S3 that may end by itself. A host that has just booted may not have
/// the right time yet, and expired credentials are renewed by another program.
pub(crate) fn is_transient_kind(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::Transient
            | StoreErrorKind::Unreadable
            | StoreErrorKind::ClockSkew
            | StoreErrorKind::ExpiredCredentials
    )
}

/// Repeats the checks until they succeed, after which uploads are accepted.
pub(crate) async fn check_until_reached(
    live: LiveConfig,
    prefix: KeyPrefix,
    checked: Arc<BucketChecked>,
) {
    let (began, mut outage, mut last) = (CLOCK.start(), Outage::default(), String::new());
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        match check(&live.get(), &prefix, Duration::ZERO).await {
            Ok(()) => break,
            Err(err) => {
                let (is_due, error) = (outage.failed(began.elapsed()), error_chain(&err));
                if is_due || error != last {
                    log_unreached(&err);
                }
                last = error;
            }
        }
    }
    checked.set();
    tracing::info!(
        event = "s3_reached",
        elapsed_seconds = began.elapsed().as_secs(),
        "S3 answers; the gateway takes uploads now"
    );
}

/// Logs that the bucket could not be checked.
pub(crate) fn log_unreached(err: &StartError) {
    let (error, retry_seconds) = (error_chain(err), CHECK_EVERY.as_secs());
    if is_transient(err) {
        tracing::warn!(
            event = "s3_not_reached",
            error,
            retry_seconds,
            "the gateway runs, but is not ready and refuses uploads until S3 answers"
        );
    } else {
        tracing::error!(
            event = "s3_not_reached",
            error,
            retry_seconds,
            "S3 answers, but the gateway cannot use the bucket; it refuses uploads until this is \
             corrected"
        );
    }
}
