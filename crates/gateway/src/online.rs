//! `check-config --online`: finds out what the S3 server does, and what that means
//! for the guarantees of the gateway. `doctor` adds what else the gateway depends on.

use std::time::Duration;

use s3up_cli::table;
use s3up_core::{KeyPrefix, error_chain};
use s3up_store::{Finding, ProbeUpload, Severity, Store, UploadError, findings};

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

/// Compares class and encryption, if any were configured, with what HEAD tells about a
/// small upload, which is made once. Only warns: small files may be stored all the same.
pub(crate) async fn warn_of_lost_settings(store: &Store, prefix: &KeyPrefix) {
    if !store.asks_for_attributes() {
        return;
    }
    let probe = ProbeUpload { prefix, storage_class: None, retry_for: START_RETRY_FOR };
    if let Err(err) = store.probe_upload(&probe).await {
        tracing::warn!(
            event = "probe_upload_failed",
            cause = %error_chain(&err),
            "a small upload as clients will make them failed"
        );
        return;
    }
    let lost = findings(&store.capabilities()).into_iter().filter(|finding| {
        finding.severity >= Severity::Warning
            && ["encryption", "storage class"].contains(&finding.subject)
    });
    for Finding { subject, found, means, fix, .. } in lost {
        tracing::warn!(
            event = "server_capability",
            capability = subject,
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

    /// Formats the findings for scripts.
    pub fn to_json(&self) -> String {
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|finding| {
                serde_json::json!({
                    "subject": finding.subject,
                    "result": finding.severity.word(),
                    "found": finding.found,
                    "means": finding.means,
                    "fix": finding.fix,
                })
            })
            .collect();
        let upload = self.failed.as_ref().map(|err| error_chain(err));
        let json = serde_json::json!({ "findings": findings, "upload_failed": upload });
        format!("{json:#}\n")
    }

    /// Formats a table of all capabilities, then the meaning and the fix of each that
    /// is not as it should be.
    pub fn to_table(&self) -> String {
        let rows = self.findings.iter().map(|finding| {
            let Finding { subject, severity, found, .. } = finding;
            [(*subject).to_owned(), severity.word().to_owned(), found.clone()]
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
