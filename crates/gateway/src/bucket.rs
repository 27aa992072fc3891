//! The checks of the bucket that come before the first upload, and again at a reload: whether it
//! can be reached, keeps versions, and enforces `overwrite: never`.
//!
//! If S3 does not answer, the gateway starts, is not ready, and repeats the checks until S3 does.
//! Until then it refuses uploads: it cannot know which guarantees hold. What a repetition cannot
//! cure (wrong credentials, no such bucket) ends the start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s3up_core::{ClientName, Code, KeyPrefix, error_chain};
use s3up_store::{Condition, Conditions, Kind, Store, Versioning};

use crate::clients::{ClientPolicy, Clients, Overwrite, Right};
use crate::gateway::{Gateway, StartError};
use crate::live::Live;
use crate::online;
use crate::outage::Outage;
use crate::refusal::Refusal;
use crate::stopwatch::Stopwatch;

/// Time for which the first requests to the bucket are retried at start.
pub(crate) const START_RETRY_FOR: Duration = Duration::from_secs(5);
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
    online::warn_of_lost_settings(store, prefix).await;
    Ok(())
}

/// Returns true if the same check may succeed later without any change here.
pub(crate) fn may_pass(err: &StartError) -> bool {
    matches!(err, StartError::Probe(err) if may_recover(err.kind))
}

/// Returns true for a failure of S3 that may end by itself. A host that has just booted may not have
/// the right time yet, and expired credentials are renewed by another program.
pub(crate) fn may_recover(kind: Kind) -> bool {
    matches!(kind, Kind::Transient | Kind::Unreadable | Kind::ClockSkew | Kind::ExpiredCredentials)
}

/// Repeats the checks until they succeed.
pub(crate) async fn check_until_reached(gateway: Gateway) {
    let (began, mut outage, mut last) = (Stopwatch::start(), Outage::default(), String::new());
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        match gateway.check_bucket(Duration::ZERO).await {
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
    tracing::info!(
        event = "s3_reached",
        elapsed_seconds = began.elapsed().as_secs(),
        "S3 answers; the gateway takes uploads now"
    );
}

/// Logs that the bucket could not be checked.
pub(crate) fn log_unreached(err: &StartError) {
    let (error, retry_seconds) = (error_chain(err), CHECK_EVERY.as_secs());
    if may_pass(err) {
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

/// Warns if the bucket keeps no versions, or refuses to start if they are
/// required.
pub(crate) fn check_versioning(
    versioning: Versioning,
    bucket: &str,
    required: bool,
) -> Result<(), StartError> {
    let (state, consequence) = match versioning {
        Versioning::Enabled => return Ok(()),
        Versioning::Off => ("off", "overwritten files cannot be recovered"),
        Versioning::Unknown => {
            ("unknown", "S3 did not report it, so overwritten files may not be recoverable")
        }
    };
    let bucket = bucket.to_owned();
    if required {
        return Err(StartError::Versioning { bucket, state });
    }
    tracing::warn!(event = "versioning_off", bucket, "bucket versioning is {state}: {consequence}");
    Ok(())
}

/// Degree to which `overwrite: never` holds on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OverwriteNever {
    Enforced,
    /// The gateway looks at the path before a write that the server does not check.
    ByOneGateway,
    Unknown,
}

/// Decides from both calls that make a file visible: short files are one PUT, and
/// longer ones a completed multipart upload.
fn overwrite_never(conditions: Conditions) -> OverwriteNever {
    let Conditions { put_if_none_match: put, complete_if_none_match: complete, .. } = conditions;
    match (put, complete) {
        (put, _) if put.is_broken() => OverwriteNever::ByOneGateway,
        (Condition::Unknown, _) | (_, Condition::Unknown) => OverwriteNever::Unknown,
        (_, complete) if complete.is_enforced() => OverwriteNever::Enforced,
        _ => OverwriteNever::ByOneGateway,
    }
}

/// Warns if `overwrite: never` is configured and S3 does not enforce it. The probe may write a
/// small object, so it runs only if a client needs it.
async fn check_overwrite(store: &Store, clients: &Clients, prefix: &KeyPrefix) {
    let Some(client) = client_with_condition(clients) else { return };
    let conditions = store.probe_completions(prefix, START_RETRY_FOR).await;
    match overwrite_never(conditions) {
        OverwriteNever::Enforced => {}
        OverwriteNever::ByOneGateway => tracing::warn!(
            event = "overwrite_never_by_one_gateway",
            %client,
            "this S3 server does not honour If-None-Match in every write; the gateway looks at the \
             path before, which is safe only while no other gateway writes below this prefix"
        ),
        OverwriteNever::Unknown => tracing::warn!(
            event = "overwrite_never_not_verified",
            %client,
            "cannot verify that this S3 server honours If-None-Match; the gateway also looks at \
             the path before each upload, which is safe without the condition only while no \
             other gateway writes below this prefix"
        ),
    }
}

fn client_with_condition(clients: &Clients) -> Option<ClientName> {
    let needs_condition = |policy: &&ClientPolicy| {
        policy.overwrite == Overwrite::Never && policy.rights.contains(&Right::Upload)
    };
    clients.policies().find(needs_condition).map(|policy| policy.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overwrite_never_needs_the_condition_of_both_calls() {
        use Condition::{Honoured, Ignored, NeverHolds, Refused, Unknown};
        #[rustfmt::skip]
        let cases = [
            // PUT      completion  result
            (Honoured,  Honoured,   OverwriteNever::Enforced),
            (Honoured,  Ignored,    OverwriteNever::ByOneGateway),
            (Honoured,  Refused,    OverwriteNever::ByOneGateway),
            (Honoured,  NeverHolds, OverwriteNever::ByOneGateway),
            (Ignored,   Honoured,   OverwriteNever::ByOneGateway),
            (Refused,   Unknown,    OverwriteNever::ByOneGateway),
            (Honoured,  Unknown,    OverwriteNever::Unknown),
            (Unknown,   Honoured,   OverwriteNever::Unknown),
        ];
        for (put, complete, want) in cases {
            let conditions = Conditions {
                put_if_none_match: put,
                complete_if_none_match: complete,
                ..Conditions::default()
            };
            assert_eq!(overwrite_never(conditions), want, "{put:?} {complete:?}");
        }
    }
}
