//! An S3 server with one bucket, for programs that run as separate processes.
//!
//! Dropping it stops the server and removes its directory. A test reads the bucket
//! directly (`DevStore::objects`), not by S3 calls.

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

    /// Starts a server whose bucket keeps no versions, with the limits of S3.
    pub async fn start() -> TestS3 {
        TestS3::start_with(Versioning::Off, PART_BYTES_MIN).await
    }

    /// Starts a server that accepts shorter parts, so that a test needs little data.
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

    /// Returns variables for `Command::envs`, with which a program uses this server
    /// and cannot use any other that this machine is configured for.
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

    /// Returns all keys with the length of their objects.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        self.store.objects(TestS3::BUCKET)
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects().into_keys().collect()
    }

    /// Returns the content of an object, if it exists.
    pub async fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.store.object(TestS3::BUCKET, key).await
    }

    /// Returns the keys of all unfinished multipart uploads.
    pub fn uploads(&self) -> Vec<String> {
        self.store.uploads(TestS3::BUCKET)
    }
}
