//! Lifecycle configurations are stored and returned unchanged.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus,
    LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration,
};

use crate::support::{BUCKET, Server, refusal, server};

#[tokio::test]
async fn a_bucket_without_a_configuration_is_reported() {
    let server = server().await;

    assert_eq!(refusal(get(&server).await), "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn a_configuration_is_returned_unchanged_also_after_a_restart() {
    let server = server().await;
    let rules = [abort_rule("sweep", ""), expiry_rule("expire", "logs/")];
    put(&server, rules.clone()).await.unwrap();

    assert_eq!(get(&server).await.unwrap().rules(), rules);
    let server = server.restart().await;
    assert_eq!(get(&server).await.unwrap().rules(), rules);

    put(&server, [abort_rule("other", "")]).await.unwrap();
    assert_eq!(get(&server).await.unwrap().rules(), [abort_rule("other", "")]);
}

#[tokio::test]
async fn a_configuration_is_deleted() {
    let server = server().await;
    put(&server, [abort_rule("sweep", "")]).await.unwrap();

    for _ in 0..2 {
        server.client.delete_bucket_lifecycle().bucket(BUCKET).send().await.unwrap();
    }

    assert_eq!(refusal(get(&server).await), "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn a_rule_without_an_id_gets_one() {
    let server = server().await;
    let rule = LifecycleRule::builder()
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .status(ExpirationStatus::Enabled)
        .expiration(LifecycleExpiration::builder().days(1).build())
        .build()
        .unwrap();

    put(&server, [rule]).await.unwrap();

    assert!(get(&server).await.unwrap().rules()[0].id().is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn a_rule_without_an_action_is_refused_and_the_old_rules_stay() {
    let server = server().await;
    put(&server, [abort_rule("sweep", "")]).await.unwrap();
    let idle = LifecycleRule::builder()
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .status(ExpirationStatus::Enabled)
        .build()
        .unwrap();

    assert_eq!(refusal(put(&server, [idle]).await), "InvalidRequest");

    assert_eq!(get(&server).await.unwrap().rules(), [abort_rule("sweep", "")]);
}

fn abort_rule(id: &str, prefix: &str) -> LifecycleRule {
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build();
    LifecycleRule::builder()
        .id(id)
        .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
        .status(ExpirationStatus::Enabled)
        .abort_incomplete_multipart_upload(abort)
        .build()
        .expect("a whole rule")
}

fn expiry_rule(id: &str, prefix: &str) -> LifecycleRule {
    let noncurrent = NoncurrentVersionExpiration::builder().noncurrent_days(30);
    LifecycleRule::builder()
        .id(id)
        .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
        .status(ExpirationStatus::Disabled)
        .expiration(LifecycleExpiration::builder().days(365).build())
        .noncurrent_version_expiration(noncurrent.newer_noncurrent_versions(2).build())
        .build()
        .expect("a whole rule")
}

async fn put(
    server: &Server,
    rules: impl IntoIterator<Item = LifecycleRule>,
) -> Result<
    aws_sdk_s3::operation::put_bucket_lifecycle_configuration::PutBucketLifecycleConfigurationOutput,
    aws_sdk_s3::error::SdkError<
        aws_sdk_s3::operation::put_bucket_lifecycle_configuration::PutBucketLifecycleConfigurationError,
    >,
>{
    let configuration = BucketLifecycleConfiguration::builder()
        .set_rules(Some(rules.into_iter().collect()))
        .build()
        .expect("rules are given");
    let put = server.client.put_bucket_lifecycle_configuration().bucket(BUCKET);
    put.lifecycle_configuration(configuration).send().await
}

async fn get(
    server: &Server,
) -> Result<
    aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput,
    aws_sdk_s3::error::SdkError<
        aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationError,
    >,
>{
    server.client.get_bucket_lifecycle_configuration().bucket(BUCKET).send().await
}
