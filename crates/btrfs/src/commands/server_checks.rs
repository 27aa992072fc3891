//! Checks of the S3 server before the first byte of a backup: probes what the backup
//! needs, and warns of what is lost.

use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_to_s3::config::BucketConfig;
use s3up_cli::Exit;
use s3up_core::Severity;
use s3up_repository::documents::Bucket;
use s3up_store::{Finding, ProbeUpload, Store, Subject, condition_findings, findings};

use super::PROBE_RETRY_FOR;

/// The probe upload has two parts, and the line may be slow.
const UPLOAD_RETRY_FOR: Duration = Duration::from_secs(5 * 60);

/// Warns if the server does not enforce the conditions of writes, which publishing
/// relies on. The store logs why one is unknown.
pub async fn warn_of_broken_conditions(store: &Store, config: &BucketConfig) {
    let prefix = config.layout.prefix();
    let conditions = store.probe_conditions(prefix, PROBE_RETRY_FOR).await;
    let mut broken = condition_findings(conditions);
    broken.retain(|finding| finding.severity >= Severity::Warning);
    if broken.is_empty() {
        return;
    }
    let what = broken.iter().map(|Finding { subject, found, .. }| format!("{subject}: {found}"));
    tracing::warn!(
        event = "conditions_ignored",
        %prefix,
        "the server does not enforce the conditions of writes ({}): two hosts that write below \
         one prefix may replace each other's backups; make sure that no other host writes there",
        what.collect::<Vec<_>>().join(", ")
    );
}

/// Returns the probe upload with class and encryption of the chunks.
pub fn probe_of(config: &BucketConfig) -> ProbeUpload<'_> {
    ProbeUpload {
        prefix: config.layout.prefix(),
        storage_class: Some(&config.class_chunks),
        retry_for: UPLOAD_RETRY_FOR.min(config.retry_for),
    }
}

/// Refuses chunks of more parts than the server accepts in one upload.
fn check_part_count(config: &BucketConfig, parts_max: Option<u32>) -> anyhow::Result<()> {
    let needed = config.chunk_bytes.div_ceil(config.part_bytes.max(1));
    let Some(parts_max) = parts_max.filter(|parts_max| u64::from(*parts_max) < needed) else {
        return Ok(());
    };
    Err(Exit::Usage.with(anyhow!(
        "a chunk has {needed} parts: expected at most {parts_max}, the limit of this server for one \
         upload; set `s3.parts_max` to {parts_max}, so that parts are longer"
    )))
}

/// Makes one probe upload, unless an earlier run did, so that a backup that cannot succeed
/// fails before its first byte. Warns of the guarantees that this server does not give.
pub async fn probe_upload(bucket: &Bucket, config: &BucketConfig) -> anyhow::Result<()> {
    let probe = probe_of(config);
    bucket.store.probe_upload(&probe).await.context("probe upload before the full")?;
    check_part_count(config, bucket.store.capabilities().parts_max)?;
    for finding in findings(&bucket.store.capabilities()) {
        // The conditions and the versions have warnings of their own.
        let is_of_objects = matches!(
            finding.subject,
            Subject::Encryption | Subject::StorageClass | Subject::Archive
        );
        if finding.severity < Severity::Warning || !is_of_objects {
            continue;
        }
        tracing::warn!(
            event = "server_capability",
            capability = %finding.subject,
            "{}: {}; {}",
            finding.found,
            finding.means,
            finding.fix.unwrap_or_default()
        );
    }
    Ok(())
}
