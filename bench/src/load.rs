//! Clients that are no programs of ours: the bare engine, the bare SDK, and
//! plain HTTP to the gateway.

pub mod gateway;
pub mod objects;
pub mod stream;

use std::time::Duration;

use anyhow::{Context, ensure};
use s3up_core::Key;
use s3up_store::{Bandwidth, Credentials, Profile, Settings, Sse, Store, Timeouts};

use crate::tools;

/// The engine, with a budget for buffers.
pub async fn store(endpoint: &str, buffer_budget_bytes: u64) -> anyhow::Result<Store> {
    let store = Store::connect(Settings {
        endpoint: Some(endpoint.to_owned()),
        region: tools::REGION.to_owned(),
        bucket: tools::BUCKET.to_owned(),
        credentials: Credentials::Explicit {
            access_key_id: tools::KEY_ID.to_owned(),
            secret_access_key: tools::SECRET.to_owned(),
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

const RETRY_FOR: Duration = Duration::from_secs(30);

/// The keys of all objects in the bucket.
pub fn keys(endpoint: &str) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.block_on(async {
        let store = store(endpoint, 1 << 20).await?;
        let (mut listing, mut keys) = (store.list("", RETRY_FOR), Vec::new());
        while let Some(page) = listing.next_page().await? {
            keys.extend(page.into_iter().map(|listed| listed.key));
        }
        Ok(keys)
    })
}

/// Deletes everything in the bucket.
pub fn empty(endpoint: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.block_on(async { empty_store(&store(endpoint, 1 << 20).await?).await })
}

pub async fn empty_store(store: &Store) -> anyhow::Result<()> {
    let mut listing = store.list("", RETRY_FOR);
    while let Some(page) = listing.next_page().await? {
        let keys: Result<Vec<_>, _> = page.iter().map(|listed| Key::parse(&listed.key)).collect();
        let left = store.delete_many(&keys?, RETRY_FOR).await?;
        ensure!(left.is_empty(), "{} objects were not deleted", left.len());
    }
    Ok(())
}
