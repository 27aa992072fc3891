//! An S3 server with one bucket, for programs that run as processes of their own.
//!
//! It stops, and its folder goes, when it is dropped. What is in the bucket is
//! read from the server itself (`DevStore::objects`), not by calls to it.

use std::collections::BTreeMap;

use s3up_core::part::PART_BYTES_MIN;
use s3up_devstore::{DevStore, Faults, Options, Versioning};
use tempfile::TempDir;

use crate::owner::temp_dir;

pub struct TestS3 {
    store: DevStore,
    _dir: TempDir,
}

impl TestS3 {
    pub const BUCKET: &str = "backups";
    pub const REGION: &str = "us-east-1";

    /// A bucket without versions, and the limits of S3.
    pub async fn start() -> TestS3 {
        TestS3::start_with(Versioning::Off, PART_BYTES_MIN).await
    }

    /// One that takes shorter parts, so that a test can do with little data.
    pub async fn start_with(versioning: Versioning, part_bytes_min: u64) -> TestS3 {
        let dir = temp_dir();
        let options = Options { part_bytes_min, ..Options::new(dir.path()) };
        let store = DevStore::start(options).await.expect("an S3 server");
        store.create_bucket(TestS3::BUCKET, versioning).await.expect("a new bucket");
        TestS3 { store, _dir: dir }
    }

    pub fn store(&self) -> &DevStore {
        &self.store
    }

    pub fn endpoint(&self) -> String {
        self.store.endpoint()
    }

    pub fn faults(&self) -> &Faults {
        self.store.faults()
    }

    /// For `Command::envs`: what a program needs to reach this server, and what
    /// keeps it from reaching any other, whatever this machine is set up for.
    pub fn env(&self) -> [(&'static str, String); 8] {
        let endpoint = self.endpoint();
        [
            ("AWS_ACCESS_KEY_ID", Options::ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Options::SECRET_ACCESS_KEY.to_owned()),
            ("AWS_SESSION_TOKEN", String::new()),
            ("AWS_REGION", TestS3::REGION.to_owned()),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Every key, and the length of its object.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        self.store.objects(TestS3::BUCKET)
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects().into_keys().collect()
    }

    /// The content of an object, if there is one.
    pub async fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.store.object(TestS3::BUCKET, key).await
    }

    /// The keys of the multipart uploads under way.
    pub fn uploads(&self) -> Vec<String> {
        self.store.uploads(TestS3::BUCKET)
    }
}
