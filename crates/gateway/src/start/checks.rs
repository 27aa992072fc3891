//! Checks at start whether the bucket and the server keep what the configuration demands.

use std::time::Duration;

use s3up_core::Severity;
use s3up_core::{KeyPrefix, error_chain};
use s3up_store::{
    Condition, Conditions, Finding, ProbeUpload, Store, Subject, Versioning, findings,
};

use super::error::StartError;
use crate::clients::{ClientPolicy, Clients, OverwritePolicy, Right};

/// Time for which the first requests to the bucket are retried at start. A service manager waits for it,
/// and after it the gateway starts without S3.
pub(crate) const START_RETRY_FOR: Duration = Duration::from_secs(5);

/// Warns if the bucket keeps no versions, or refuses to start if they are
/// required.
pub(crate) fn check_versioning(
    versioning: Versioning,
    bucket: &str,
    required: bool,
) -> Result<(), StartError> {
    match versioning {
        Versioning::Enabled => {}
        Versioning::Off if required => {
            return Err(StartError::VersioningOff { bucket: bucket.to_owned() });
        }
        Versioning::Unknown if required => {
            return Err(StartError::VersioningUnknown { bucket: bucket.to_owned() });
        }
        Versioning::Off => tracing::warn!(
            event = "versioning_off",
            bucket,
            "bucket versioning is off: overwritten files cannot be recovered"
        ),
        Versioning::Unknown => tracing::warn!(
            event = "versioning_unknown",
            bucket,
            "S3 did not report bucket versioning, so overwritten files may not be recoverable; \
             allow s3:GetBucketVersioning"
        ),
    }
    Ok(())
}

/// Degree to which `overwrite: never` holds on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OverwriteNever {
    Enforced,
    /// The gateway checks the path before a write that the server does not check.
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
pub(crate) async fn check_overwrite(store: &Store, clients: &Clients, prefix: &KeyPrefix) {
    let clients = clients_without_overwrite(clients);
    if clients.is_empty() {
        return;
    }
    let conditions = store.probe_completions(prefix, START_RETRY_FOR).await;
    match overwrite_never(conditions) {
        OverwriteNever::Enforced => {}
        OverwriteNever::ByOneGateway => tracing::warn!(
            event = "overwrite_never_by_one_gateway",
            clients,
            "this S3 server does not honour If-None-Match in every write; `overwrite: never` holds only \
             while this is the only gateway that writes below the prefix"
        ),
        OverwriteNever::Unknown => tracing::warn!(
            event = "overwrite_never_not_verified",
            clients,
            "cannot verify that this S3 server honours If-None-Match; until that is known, run only one \
             gateway below this prefix"
        ),
    }
}

/// Returns the names of the clients that may upload and never overwrite.
fn clients_without_overwrite(clients: &Clients) -> String {
    let needs_condition = |policy: &&ClientPolicy| {
        policy.overwrite == OverwritePolicy::Never && policy.rights.contains(&Right::Upload)
    };
    let names = clients.policies().filter(needs_condition).map(|policy| policy.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// Makes one probe upload and compares class and encryption, if any were configured,
/// with those that HEAD returns. Only warns: files may be stored all the same.
pub(crate) async fn warn_of_lost_settings(store: &Store, prefix: &KeyPrefix) {
    if !store.asks_for_attributes() {
        return;
    }
    let probe = ProbeUpload { prefix, storage_class: None, retry_for: START_RETRY_FOR };
    if let Err(err) = store.probe_upload(&probe).await {
        tracing::warn!(
            event = "probe_upload_failed",
            error = %error_chain(&err),
            "probe upload failed; uploads of clients may fail in the same way"
        );
        return;
    }
    let lost = findings(&store.capabilities()).into_iter().filter(|finding| {
        finding.severity >= Severity::Warning
            && matches!(finding.subject, Subject::Encryption | Subject::StorageClass)
    });
    for Finding { subject, found, means, fix, .. } in lost {
        tracing::warn!(
            event = "server_capability",
            capability = %subject,
            "{found}: {means}{}",
            fix.map(|fix| format!("; {fix}")).unwrap_or_default()
        );
    }
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
