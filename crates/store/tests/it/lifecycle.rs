//! The lifecycle rule for abandoned uploads, as a server returns it.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter,
};
use s3up_core::KeyPrefix;
use s3up_devstore::{Fault, Op};
use s3up_store::AbortRule;

use crate::fixture::{RETRY_FOR, World};

#[tokio::test]
async fn the_rule_that_aborts_uploads_is_read_from_the_bucket() {
    let world = World::start().await;
    let prefix = KeyPrefix::parse("ours").unwrap();
    let none = world.store.abort_rule(&prefix, RETRY_FOR).await;
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build();
    let rule = LifecycleRule::builder()
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("ours/").build())
        .abort_incomplete_multipart_upload(abort);
    let rules = BucketLifecycleConfiguration::builder().rules(rule.build().unwrap());
    let put = world.raw_client().put_bucket_lifecycle_configuration().bucket("backups");
    put.lifecycle_configuration(rules.build().unwrap()).send().await.unwrap();

    let seven = world.store.abort_rule(&prefix, RETRY_FOR).await;
    let other = world.store.abort_rule(&KeyPrefix::parse("other").unwrap(), RETRY_FOR).await;
    world.s3.faults().inject(Op::GetBucketLifecycleConfiguration, 1, Fault::AccessDenied);
    let denied = world.store.abort_rule(&prefix, RETRY_FOR).await;

    assert_eq!((none, seven), (AbortRule::Missing, AbortRule::AfterDays(7)));
    assert_eq!(other, AbortRule::Missing);
    let AbortRule::Unknown { reason } = denied else { panic!("{denied:?}") };
    assert!(reason.contains("it needs s3:GetLifecycleConfiguration"), "{reason}");
    world.stop().await;
}
