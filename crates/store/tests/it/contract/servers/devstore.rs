//! The embedded server, in this process.

use std::time::Duration;

use s3up_devstore::{DevStore, Options};
use tempfile::TempDir;

use super::{Running, ServerName, with_new_buckets};
use crate::contract::server::Server;

/// Long enough to see a thaw in progress.
const RESTORE_DELAY: Duration = Duration::from_secs(60 * 60);

pub async fn start() -> Running<(DevStore, TempDir)> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options { restore_delay: RESTORE_DELAY, ..Options::new(directory.path()) };
    let s3 = DevStore::start(options).await.expect("an S3 server");
    let (id, secret) = (Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    let server = Server::new(s3.endpoint(), Options::REGION, id, secret);
    let target = with_new_buckets(ServerName::Devstore, server).await;
    Running { target, stopper: (s3, directory) }
}

impl Running<(DevStore, TempDir)> {
    pub async fn stop(self) {
        self.stopper.0.stop().await;
    }
}
