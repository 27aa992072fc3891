//! A client of S3 for tests that change a bucket by other means than our programs.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration, StorageClass, VersioningConfiguration,
};
use s3up_devstore::{DevStore, Options};
use serde_json::Value;

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

    /// Begins a multipart upload and leaves it.
    pub async fn begin_upload(&self, key: &str) {
        let begun = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
        begun.send().await.expect("a multipart upload");
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

    /// Puts the lifecycle rules of a file, as the program `aws` takes it.
    ///
    /// # Panics
    ///
    /// If a rule has a field that this does not know.
    pub async fn put_lifecycle(&self, file: &str) {
        let json: Value = serde_json::from_str(file).expect("JSON");
        let rules = json["Rules"].as_array().expect("a list of rules").iter().map(lifecycle_rule);
        let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules.collect()));
        let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.bucket);
        let put = put.lifecycle_configuration(rules.build().expect("rules"));
        put.send().await.expect("accepted rules");
    }

    /// Switches the versions of the bucket on, or off as far as S3 lets it.
    pub async fn keep_versions(&self, keeps: bool) {
        let status =
            if keeps { BucketVersioningStatus::Enabled } else { BucketVersioningStatus::Suspended };
        let versioning = VersioningConfiguration::builder().status(status).build();
        let put = self.client.put_bucket_versioning().bucket(&self.bucket);
        put.versioning_configuration(versioning).send().await.expect("an accepted setting");
    }

    /// Deletes the newest version of an object. Where the bucket keeps versions, the others stay.
    pub async fn delete(&self, key: &str) {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key);
        delete.send().await.expect("a deleted object");
    }
}

fn lifecycle_rule(json: &Value) -> LifecycleRule {
    let days = |json: &Value| i32::try_from(json.as_i64().expect("a number")).expect("days");
    let mut rule = LifecycleRule::builder();
    for (key, value) in json.as_object().expect("a rule") {
        rule = match key.as_str() {
            "ID" => rule.id(value.as_str().expect("a text")),
            "Status" => rule.status(ExpirationStatus::from(value.as_str().expect("a text"))),
            "Filter" => {
                let prefix = value["Prefix"].as_str().expect("a prefix");
                rule.filter(LifecycleRuleFilter::builder().prefix(prefix).build())
            }
            "AbortIncompleteMultipartUpload" => {
                let abort = AbortIncompleteMultipartUpload::builder();
                let abort = abort.days_after_initiation(days(&value["DaysAfterInitiation"]));
                rule.abort_incomplete_multipart_upload(abort.build())
            }
            "NoncurrentVersionExpiration" => {
                let expiration = NoncurrentVersionExpiration::builder();
                let expiration = expiration.noncurrent_days(days(&value["NoncurrentDays"]));
                rule.noncurrent_version_expiration(expiration.build())
            }
            "Expiration" => {
                let is_marker = value["ExpiredObjectDeleteMarker"].as_bool().expect("a boolean");
                assert_eq!(
                    value.as_object().expect("an object").len(),
                    1,
                    "no current object expires"
                );
                let expiration = LifecycleExpiration::builder();
                rule.expiration(expiration.expired_object_delete_marker(is_marker).build())
            }
            other => panic!("{other} is not known here"),
        };
    }
    rule.build().expect("a rule")
}
