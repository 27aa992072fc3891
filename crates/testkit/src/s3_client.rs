//! A client of S3 for tests that change a bucket by other means than our programs.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass;
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

    /// Deletes the newest version of an object. Where the bucket keeps versions, the others stay.
    pub async fn delete(&self, key: &str) {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key);
        delete.send().await.expect("a deleted object");
    }
}
