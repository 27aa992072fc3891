//! Checks what the S3 server does with the objects that this gateway will store.

use std::time::Duration;

use s3up_core::{KeyPrefix, error_chain};
use s3up_store::{Finding, ProbeUpload, Severity, Store, Subject, findings};

/// Time for which a failing request is retried at the start of the gateway.
const START_RETRY_FOR: Duration = Duration::from_secs(5);

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
            "{found}: {means}; {}",
            fix.unwrap_or_default()
        );
    }
}
