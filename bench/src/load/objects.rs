//! Uploads of many small objects from memory directly into S3, by the bare SDK or
//! by the store.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, StalledStreamProtectionConfig,
};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use s3up_core::Key;
use s3up_store::{Length, Overwrite, Put, Store};
use tokio::task::JoinSet;

use super::engine;
use crate::clients;
use crate::noise::Noise;

const BYTES_MIN: u64 = 4 << 10;
const BYTES_MAX: u64 = 64 << 10;
const NOISE_BYTES: usize = 1 << 20;
/// The buffer budget of a gateway.
const BUFFER_BUDGET_BYTES: u64 = 192 << 20;
const RETRY_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Uploader {
    /// The SDK for S3 without checksums and without signed payloads
    Sdk,
    /// The store of our programs, with SHA-256 and CRC64NVME
    Store,
}

#[derive(Args)]
pub struct Upload {
    /// URL of the S3 server
    #[arg(long)]
    endpoint: String,
    /// Client library
    #[arg(long)]
    uploader: Uploader,
    /// Number of objects
    #[arg(long)]
    count: u64,
    /// Number of concurrent uploads
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
}

/// A sequence of objects of 4 to 64 KiB, which is the same in every run. Clones
/// share it.
#[derive(Clone)]
pub struct Objects {
    noise: Bytes,
    count: u64,
    next: Arc<AtomicU64>,
}

pub struct Object {
    pub number: u64,
    pub bytes: Bytes,
}

impl Objects {
    pub fn new(count: u64) -> Objects {
        let mut noise = vec![0; NOISE_BYTES + BYTES_MAX as usize];
        Noise(7).fill(&mut noise);
        Objects { noise: noise.into(), count, next: Arc::default() }
    }

    /// Returns the next object. Each object is returned by one clone only.
    pub fn next(&self) -> Option<Object> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count).then(|| {
            let start = (number as usize * 4099) % NOISE_BYTES;
            Object { number, bytes: self.noise.slice(start..start + length(number) as usize) }
        })
    }
}

/// Returns the length of an object in bytes.
pub fn length(number: u64) -> u64 {
    BYTES_MIN + Noise(number + 1).next_word() % (BYTES_MAX - BYTES_MIN + 1)
}

pub async fn upload(args: &Upload) -> anyhow::Result<()> {
    let objects = Objects::new(args.count);
    let mut tasks = JoinSet::new();
    match args.uploader {
        Uploader::Sdk => {
            let client = bare_client(&args.endpoint);
            for _ in 0..args.concurrency {
                tasks.spawn(send_by_sdk(client.clone(), objects.clone()));
            }
        }
        Uploader::Store => {
            let store = engine::connect(&args.endpoint, BUFFER_BUDGET_BYTES).await?;
            for _ in 0..args.concurrency {
                tasks.spawn(send_by_store(store.clone(), objects.clone()));
            }
        }
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(())
}

fn bare_client(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new(clients::REGION))
        .credentials_provider(Credentials::new(
            clients::KEY_ID,
            clients::SECRET,
            None,
            None,
            "bench",
        ))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(config.build())
}

async fn send_by_sdk(client: Client, objects: Objects) -> anyhow::Result<()> {
    while let Some(Object { number, bytes }) = objects.next() {
        let call = client.put_object().bucket(clients::BUCKET).key(format!("small/{number}"));
        let call = call.content_length(bytes.len() as i64).body(bytes.into());
        call.customize().disable_payload_signing().send().await?;
    }
    Ok(())
}

async fn send_by_store(store: Store, objects: Objects) -> anyhow::Result<()> {
    while let Some(Object { number, bytes }) = objects.next() {
        let put = Put {
            key: Key::parse(&format!("small/{number}"))?,
            length: Length::Exactly(bytes.len() as u64),
            part_bytes: 8 << 20,
            content_type: None,
            metadata: BTreeMap::new(),
            expect_sha256: None,
            overwrite: Overwrite::Allowed,
            storage_class: None,
            in_flight: 1,
            retry_for: RETRY_FOR,
            buffer_wait: None,
            share: None,
        };
        store.upload(put, Cursor::new(bytes)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_4_to_64_kib_and_are_returned_once() {
        let objects = Objects::new(1000);
        let again = objects.clone();
        let all: Vec<_> = std::iter::from_fn(|| objects.next()).collect();
        assert_eq!(all.len(), 1000);
        assert!(again.next().is_none());
        let within = |object: &Object| (4 << 10..=64 << 10).contains(&object.bytes.len());
        assert!(all.iter().all(within));
        let mean = all.iter().map(|object| object.bytes.len()).sum::<usize>() / all.len();
        assert!((30 << 10..38 << 10).contains(&mean), "{mean}");
    }
}
