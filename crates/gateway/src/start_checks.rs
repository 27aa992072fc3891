//! Checks at start whether the bucket and the server keep what the configuration demands.

use std::time::Duration;

use s3up_core::KeyPrefix;
use s3up_store::{Condition, Conditions, Store, Versioning};

use crate::clients::{ClientPolicy, Clients, Overwrite, Right};
use crate::start_error::StartError;

/// Time for which the first requests to the bucket are retried at start.
pub(crate) const PROBE_RETRY_FOR: Duration = Duration::from_secs(5);

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
    /// The gateway looks at the path before it completes an upload of several parts.
    ByOneGateway,
    NotEnforced,
    Unknown,
}

/// Decides from both calls that make a file visible: short files are one PUT, and
/// longer ones a completed multipart upload.
fn overwrite_never(conditions: Conditions) -> OverwriteNever {
    let Conditions { put_if_none_match: put, complete_if_none_match: complete, .. } = conditions;
    match (put, complete) {
        (put, _) if put.is_broken() => OverwriteNever::NotEnforced,
        (Condition::Unknown, _) | (_, Condition::Unknown) => OverwriteNever::Unknown,
        (_, complete) if complete.is_enforced() => OverwriteNever::Enforced,
        _ => OverwriteNever::ByOneGateway,
    }
}

/// Refuses to start if `overwrite: never` is configured and S3 would not enforce
/// it. The probe may write a small object, so it runs only if a client needs it.
pub(crate) async fn check_overwrite(
    store: &Store,
    clients: &Clients,
    prefix: &KeyPrefix,
) -> Result<(), StartError> {
    let clients = clients_without_overwrite(clients);
    if clients.is_empty() {
        return Ok(());
    }
    let conditions = store.probe_completions(prefix, PROBE_RETRY_FOR).await;
    match overwrite_never(conditions) {
        OverwriteNever::Enforced => Ok(()),
        OverwriteNever::NotEnforced => Err(StartError::Overwrite { clients }),
        OverwriteNever::ByOneGateway => {
            tracing::warn!(
                event = "overwrite_never_by_one_gateway",
                clients,
                "this S3 server does not honour If-None-Match when it completes a multipart \
                 upload; the gateway looks at the path before, which is safe only while no other \
                 gateway writes below this prefix"
            );
            Ok(())
        }
        OverwriteNever::Unknown => {
            tracing::warn!(
                event = "overwrite_never_not_verified",
                clients,
                "cannot verify that this S3 server honours If-None-Match; the gateway also looks at \
                 the path before each upload, which is safe without the condition only while no \
                 other gateway writes below this prefix"
            );
            Ok(())
        }
    }
}

/// Returns the names of the clients that may upload and never overwrite.
fn clients_without_overwrite(clients: &Clients) -> String {
    let needs_condition = |policy: &&ClientPolicy| {
        policy.overwrite == Overwrite::Never && policy.rights.contains(&Right::Upload)
    };
    let names = clients.policies().filter(needs_condition).map(|policy| policy.name.as_str());
    names.collect::<Vec<_>>().join(", ")
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
            (Ignored,   Honoured,   OverwriteNever::NotEnforced),
            (Refused,   Unknown,    OverwriteNever::NotEnforced),
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
