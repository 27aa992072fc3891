//! Settings of a bucket.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter,
};

use super::server::Server;
use super::verdict::{Held, Verdict, is, some};

pub async fn a_lifecycle_rule_that_aborts_uploads_is_stored(server: &Server) -> Verdict {
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build();
    let rule = LifecycleRule::builder()
        .id("sweep")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("nas/").build())
        .abort_incomplete_multipart_upload(abort);
    let rules = vec![rule.build().expect("it has a status")];
    let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build();
    let put = server.client.put_bucket_lifecycle_configuration().bucket(&server.bucket);
    put.lifecycle_configuration(rules.expect("it has rules")).send().await?;

    let stored = server.client.get_bucket_lifecycle_configuration().bucket(&server.bucket);
    let stored = stored.send().await?;

    let rule = some("rule", stored.rules().first())?;
    is("id", rule.id(), Some("sweep"))?;
    let abort = rule.abort_incomplete_multipart_upload();
    is("days", abort.and_then(|abort| abort.days_after_initiation()), Some(7))?;
    Ok(Held)
}
