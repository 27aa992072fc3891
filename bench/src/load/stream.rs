//! Uploads of one long stream, and downloads of its chunks, by the store.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use s3up_core::Key;
use s3up_store::{Get, Overwrite, PutChunks};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::engine;
use crate::noise::Noise;
use crate::units::{GIB, MIB};

const RETRY_FOR: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Upload {
    /// URL of the S3 server
    #[arg(long)]
    endpoint: String,
    /// Length of the stream in GiB
    #[arg(long)]
    gib: u64,
    /// Length of a part in MiB
    #[arg(long, default_value_t = 32)]
    part_mib: u64,
    /// Number of parts in flight
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
}

#[derive(Args)]
pub struct Download {
    /// URL of the S3 server
    #[arg(long)]
    endpoint: String,
    /// Key of an object; can be repeated
    #[arg(long)]
    key: Vec<String>,
    /// Length of a part in MiB
    #[arg(long, default_value_t = 32)]
    part_mib: u64,
    /// Number of parts in flight
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
}

/// Uploads noise in chunks of 1 GiB, all under one key.
pub async fn upload(args: &Upload) -> anyhow::Result<()> {
    let part_bytes = args.part_mib * MIB;
    let store = engine::connect(&args.endpoint, part_bytes * (args.in_flight as u64 + 1)).await?;
    let key = Key::parse("stream/chunk")?;
    let put = PutChunks {
        chunk_count_max: 10_000,
        metadata: BTreeMap::new(),
        overwrite: Overwrite::Allowed,
        key_of: &|_| key.clone(),
        chunk_bytes: GIB,
        part_bytes,
        content_type: None,
        storage_class: None,
        in_flight: args.in_flight,
        retry_for: RETRY_FOR,
    };
    store.upload_chunks(&put, RepeatedNoise::default().take(args.gib * GIB)).await?;
    store.wait_for_aborts().await;
    Ok(())
}

/// Downloads and verifies objects, one after the other, and drops the bytes.
pub async fn download(args: &Download) -> anyhow::Result<()> {
    let part_bytes = args.part_mib * MIB;
    let store = engine::connect(&args.endpoint, part_bytes * (args.in_flight as u64 + 1)).await?;
    let mut gets = Vec::new();
    for key in &args.key {
        let key = Key::parse(key)?;
        let facts = store.head(&key, None, RETRY_FOR).await?;
        let facts = facts.with_context(|| format!("expected an object {key}, found none"))?;
        gets.push(Get {
            key,
            range: 0..facts.size,
            facts,
            part_bytes,
            part_sha256: None,
            in_flight: args.in_flight,
            retry_for: RETRY_FOR,
            buffer_wait: None,
            share: None,
        });
    }
    let mut row = store.download_sequence(gets);
    while row.next().await?.is_some() {}
    Ok(())
}

/// An endless stream: one MiB of noise, repeated with a number in front. It costs
/// nearly no CPU time.
struct RepeatedNoise {
    block: Vec<u8>,
    at: usize,
    repetition: u64,
}

impl Default for RepeatedNoise {
    fn default() -> RepeatedNoise {
        let mut block = vec![0; 1 << 20];
        Noise(1).fill(&mut block);
        RepeatedNoise { block, at: 0, repetition: 0 }
    }
}

impl AsyncRead for RepeatedNoise {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.block.len() {
            this.at = 0;
            this.repetition += 1;
            this.block[..8].copy_from_slice(&this.repetition.to_le_bytes());
        }
        let count = buffer.remaining().min(this.block.len() - this.at);
        buffer.put_slice(&this.block[this.at..this.at + count]);
        this.at += count;
        Poll::Ready(Ok(()))
    }
}
