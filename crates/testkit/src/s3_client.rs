//! A client of S3 for tests that change a bucket by other means than our programs.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, StorageClass,
};
use s3up_devstore::{DevStore, Options};

pub struct S3Client {
    client: Client,
    bucket: String,
}

impl S3Client {
    pub fn new(store: &DevStore, bucket: &str) -> S3Client {
        let credentials = Credentials::new(
            Options::ACCESS_KEY_ID,
            Options::SECRET_ACCESS_KEY,
            None,
            None,
            "the test",
        );
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(Options::REGION))
            .endpoint_url(store.endpoint())
            .credentials_provider(credentials)
            .force_path_style(true)
            .build();
        S3Client { client: Client::from_conf(config), bucket: bucket.to_owned() }
    }

    /// Stores an object of a storage class.
    pub async fn put(&self, key: &str, content: &[u8], class: &str) {
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = put.body(ByteStream::from(content.to_vec()));
        put.storage_class(StorageClass::from(class)).send().await.expect("a stored object");
    }

    /// Moves an object to another storage class, as a lifecycle rule does. Where the bucket keeps
    /// versions, it is a new one.
    pub async fn move_to_class(&self, key: &str, class: &str) {
        let copy = self.client.copy_object().bucket(&self.bucket).key(key);
        let copy = copy.copy_source(format!("{}/{key}", self.bucket));
        copy.storage_class(StorageClass::from(class)).send().await.expect("a copied object");
    }

    /// Sets the only lifecycle rule of the bucket, which deletes objects below `prefix`.
    pub async fn expire_after(&self, prefix: &str, days: i32) {
        let rule = LifecycleRule::builder()
            .id("expire")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
            .expiration(LifecycleExpiration::builder().days(days).build());
        let rules = BucketLifecycleConfiguration::builder().rules(rule.build().expect("a rule"));
        let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.bucket);
        let put = put.lifecycle_configuration(rules.build().expect("a configuration"));
        put.send().await.expect("a stored configuration");
    }

    /// Deletes the newest version of an object. Where the bucket keeps versions, the others stay.
    pub async fn delete(&self, key: &str) {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key);
        delete.send().await.expect("a deleted object");
    }
}
