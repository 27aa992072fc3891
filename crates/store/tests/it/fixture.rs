//! A bucket on an embedded S3 server, and a store that is connected to it.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::{self as devstore, Behaviours, DevStore, Like, Op, Options, Versioning};
use s3up_store::{
    Bandwidth, Credentials, Get, Length, ObjectFacts, Overwrite, Profile, Put, Settings, Sse,
    Store, StoreError, Timeouts,
};
use s3up_testkit::CLOCK;
pub use s3up_testkit::noise;
use tempfile::TempDir;

/// Small enough for many tests, large enough for S3.
pub const PART: u64 = 5 << 20;
pub const BUDGET: u64 = 8 * PART;
/// For tests with hundreds of uploads, on a server that accepts short parts.
pub const SMALL_PART: u64 = 32 << 10;
pub const RETRY_FOR: Duration = Duration::from_secs(20);

pub struct World {
    pub s3: DevStore,
    pub store: Store,
    _root: TempDir,
}

pub fn settings(endpoint: String) -> Settings {
    Settings {
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        bucket: "backups".to_owned(),
        credentials: Credentials::Explicit {
            access_key_id: Options::ACCESS_KEY_ID.to_owned(),
            secret_access_key: Options::SECRET_ACCESS_KEY.to_owned(),
        },
        profile: Profile::Generic,
        ca_file: None,
        storage_class: None,
        sse: Sse::Unset,
        buffer_budget_bytes: BUDGET,
        timeouts: Timeouts::default(),
        bandwidth: Bandwidth::default(),
    }
}

impl World {
    pub async fn start() -> World {
        World::with(|settings| settings).await
    }

    /// Returns a world whose server accepts short parts.
    pub async fn small() -> World {
        World::small_with(Timeouts::default()).await
    }

    /// Returns a world whose server accepts short parts, and whose store has short
    /// time limits.
    pub async fn impatient() -> World {
        let wait = Duration::from_millis(1500);
        let bytes_per_second_min = 1 << 40;
        let default = Timeouts::default();
        let timeouts = Timeouts { answer: wait, idle: wait, bytes_per_second_min, ..default };
        World::small_with(timeouts).await
    }

    async fn small_with(timeouts: Timeouts) -> World {
        let options = |options| Options { part_bytes_min: 1, ..options };
        let edit = |settings| Settings { timeouts, ..settings };
        World::start_with(Versioning::Off, options, edit).await
    }

    /// Returns a world whose server ignores the conditions of writes.
    pub async fn ignoring_conditions() -> World {
        World::behaving(Behaviours::with_conditions(devstore::ConditionBehaviour::Ignored)).await
    }

    /// Returns a world whose server behaves like another one, but accepts short parts.
    pub async fn like(like: Like) -> World {
        World::behaving(like.behaviours()).await
    }

    /// Returns a world whose server behaves like this, but accepts short parts.
    pub async fn behaving(behaviours: Behaviours) -> World {
        let options =
            |options| Options { behaviours: behaviours.clone(), part_bytes_min: 1, ..options };
        World::start_with(Versioning::Off, options, |settings| settings).await
    }

    pub async fn versioned() -> World {
        World::start_with(Versioning::Enabled, |options| options, |settings| settings).await
    }

    pub async fn with(edit: impl Fn(Settings) -> Settings) -> World {
        World::start_with(Versioning::Off, |options| options, edit).await
    }

    async fn start_with(
        versioning: Versioning,
        options: impl Fn(Options) -> Options,
        edit: impl Fn(Settings) -> Settings,
    ) -> World {
        let root = tempfile::tempdir().expect("a temporary directory");
        let options = options(Options::new(root.path()));
        let s3 = DevStore::start(options).await.expect("an S3 server");
        s3.create_bucket("backups", versioning).await.expect("a new bucket");
        let store = Store::connect(edit(settings(s3.endpoint()))).await.expect("a store");
        World { s3, store, _root: root }
    }

    /// Stops the server. Checks that every fault fired and every buffer was
    /// returned.
    pub async fn stop(self) {
        self.store.wait_for_aborts().await;
        let faults = self.s3.faults();
        assert!(faults.unfired().is_empty(), "never fired: {:?}", faults.unfired());
        // A running hash releases its buffer when it is done.
        let all_returned = async {
            while self.store.pool().used_bytes() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(RETRY_FOR, all_returned).await.expect("a buffer was never returned");
        self.s3.stop().await;
    }

    pub async fn head(&self, key: &str) -> Option<ObjectFacts> {
        self.store.head(&Key::parse(key).expect("a key"), None, RETRY_FOR).await.expect("an answer")
    }

    pub async fn read(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        let facts = self.head(key).await.expect("an object");
        let mut download = self.store.download(get(key, facts));
        let mut bytes = Vec::new();
        while let Some(next) = download.next().await? {
            bytes.extend_from_slice(&next);
        }
        Ok(bytes)
    }

    /// Starts a multipart upload that is never completed.
    pub async fn leave_upload(&self, key: &str) {
        let client = self.raw_client();
        let create = client.create_multipart_upload().bucket("backups").key(key);
        create.send().await.expect("an upload");
    }

    /// Aborts every upload that is left; returns how many there were.
    pub async fn sweep_all(&self) -> u64 {
        let later = CLOCK.now() + Duration::from_secs(24 * 3600);
        self.store.sweep("", later, RETRY_FOR).await.expect("a sweep")
    }

    /// Returns a client of the AWS SDK, without our store.
    pub fn raw_client(&self) -> aws_sdk_s3::Client {
        let credentials = aws_sdk_s3::config::Credentials::new(
            Options::ACCESS_KEY_ID,
            Options::SECRET_ACCESS_KEY,
            None,
            None,
            "test",
        );
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .endpoint_url(self.s3.endpoint())
            .force_path_style(true)
            .credentials_provider(credentials);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub fn calls(&self, op: Op) -> u64 {
        self.s3.faults().calls(op)
    }
}

pub fn put(key: &str) -> Put {
    Put {
        key: Key::parse(key).expect("a key"),
        length: Length::AtMost(100 * PART),
        part_bytes: PART,
        content_type: None,
        metadata: BTreeMap::new(),
        expect_sha256: None,
        overwrite: Overwrite::Allowed,
        storage_class: None,
        in_flight: 3,
        retry_for: RETRY_FOR,
        buffer_wait: None,
        share: None,
    }
}

pub fn put_small(key: &str) -> Put {
    Put { part_bytes: SMALL_PART, ..put(key) }
}

pub fn get(key: &str, facts: ObjectFacts) -> Get {
    Get {
        key: Key::parse(key).expect("a key"),
        range: 0..facts.size,
        facts,
        part_bytes: PART,
        part_sha256: None,
        in_flight: 3,
        retry_for: RETRY_FOR,
        buffer_wait: None,
        share: None,
    }
}
