//! `check-config --online`: finds out what the S3 server does, and what that means
//! for the guarantees of the gateway.

use std::time::Duration;

use s3up_cli::table;
use s3up_core::{KeyPrefix, error_chain};
use s3up_store::{Finding, ProbeUpload, Severity, Store, Subject, UploadError, findings};

use crate::config::Config;
use crate::gateway::StartError;

/// Time for which a failing request is retried at the start of the gateway.
const START_RETRY_FOR: Duration = Duration::from_secs(5);
/// Time for which a failing request is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// The result of an examination of the server.
#[derive(Debug)]
pub struct Online {
    pub findings: Vec<Finding>,
    /// The reason why an upload as the gateway makes it failed.
    pub failed: Option<UploadError>,
}

/// Connects to S3 and examines the server. Writes two probe objects below the
/// prefix.
pub async fn check_online(config: Config) -> Result<Online, StartError> {
    let store = Store::connect(config.store).await?;
    let probe = ProbeUpload { prefix: &config.prefix, storage_class: None, retry_for: RETRY_FOR };
    let (capabilities, failed) = store.examine(&probe).await?;
    Ok(Online { findings: findings(&capabilities), failed })
}

/// Compares class and encryption, if any are configured, with those that HEAD returns for a
/// probe upload, which is made once. Only warns, because small files may be stored anyway.
pub(crate) async fn warn_of_lost_settings(store: &Store, prefix: &KeyPrefix) {
    if !store.asks_for_attributes() {
        return;
    }
    let probe = ProbeUpload { prefix, storage_class: None, retry_for: START_RETRY_FOR };
    if let Err(err) = store.probe_upload(&probe).await {
        tracing::warn!(
            event = "probe_upload_failed",
            cause = %error_chain(&err),
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

impl Online {
    /// Returns the number of guarantees that are lost.
    pub fn problems(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Problem).count()
    }

    /// Formats a table of all capabilities, then the meaning and the fix of each that
    /// is not as it should be.
    pub fn to_table(&self) -> String {
        let rows = self.findings.iter().map(|finding| {
            let Finding { subject, severity, found, .. } = finding;
            [subject.to_string(), severity.word().to_owned(), found.clone()]
        });
        let mut text = table(["CAPABILITY", "RESULT", "FOUND"], rows);
        for Finding { subject, severity, means, fix, .. } in &self.findings {
            if let Some(fix) = fix {
                text.push_str(&format!("{}: {subject}: {means}; {fix}\n", severity.word()));
            }
        }
        text
    }
}
