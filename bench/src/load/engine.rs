//! A connection to the bucket of the benchmarks by the store of our programs, and
//! the housekeeping that cases need: listing and emptying the bucket.

use std::time::Duration;

use anyhow::{Context, ensure};
use s3up_core::Key;
use s3up_store::{Bandwidth, Credentials, Profile, Settings, Sse, Store, Timeouts};

use crate::clients;

const RETRY_FOR: Duration = Duration::from_secs(30);

/// Connects to the bucket at `endpoint`.
pub async fn connect(endpoint: &str, buffer_budget_bytes: u64) -> anyhow::Result<Store> {
    let store = Store::connect(Settings {
        endpoint: Some(endpoint.to_owned()),
        region: clients::REGION.to_owned(),
        bucket: clients::BUCKET.to_owned(),
        credentials: Credentials::Explicit {
            access_key_id: clients::KEY_ID.to_owned(),
            secret_access_key: clients::SECRET.to_owned(),
        },
        profile: Profile::Generic,
        ca_file: None,
        storage_class: None,
        sse: Sse::Unset,
        buffer_budget_bytes,
        timeouts: Timeouts::default(),
        bandwidth: Bandwidth::default(),
    });
    Ok(store.await?)
}

/// Returns the keys of all objects in the bucket.
pub fn keys(endpoint: &str) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.block_on(async {
        let store = connect(endpoint, 1 << 20).await?;
        let (mut listing, mut keys) = (store.list("", RETRY_FOR), Vec::new());
        while let Some(page) = listing.next_page().await? {
            keys.extend(page.into_iter().map(|listed| listed.key));
        }
        Ok(keys)
    })
}

/// Deletes all objects in the bucket at `endpoint`.
pub fn empty_bucket(endpoint: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.block_on(async { empty_store(&connect(endpoint, 1 << 20).await?).await })
}

/// Deletes all objects in the bucket of `store`.
pub async fn empty_store(store: &Store) -> anyhow::Result<()> {
    let mut listing = store.list("", RETRY_FOR);
    while let Some(page) = listing.next_page().await? {
        let keys: Result<Vec<_>, _> = page.iter().map(|listed| Key::parse(&listed.key)).collect();
        let failed = store.delete_many(&keys?, RETRY_FOR).await?;
        ensure!(failed.is_empty(), "cannot delete {} objects", failed.len());
    }
    Ok(())
}
