//! One long stream through the engine.

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

use crate::world::{GIB, MIB, Noise};

const RETRY_FOR: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Upload {
    #[arg(long)]
    endpoint: String,
    /// Length of the stream
    #[arg(long)]
    gib: u64,
    #[arg(long, default_value_t = 32)]
    part_mib: u64,
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
}

#[derive(Args)]
pub struct Download {
    #[arg(long)]
    endpoint: String,
    #[arg(long)]
    key: Vec<String>,
    #[arg(long, default_value_t = 32)]
    part_mib: u64,
    #[arg(long, default_value_t = 4)]
    in_flight: usize,
}

/// Sends bytes that cost nearly nothing to make, in chunks of 1 GiB under one
/// key.
pub async fn upload(args: &Upload) -> anyhow::Result<()> {
    let part_bytes = args.part_mib * MIB;
    let store = super::store(&args.endpoint, part_bytes * (args.in_flight as u64 + 1)).await?;
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
    store.upload_chunks(&put, Endless::default().take(args.gib * GIB)).await?;
    store.wait_for_aborts().await;
    Ok(())
}

/// Fetches objects as one row, verified, and drops them.
pub async fn download(args: &Download) -> anyhow::Result<()> {
    let part_bytes = args.part_mib * MIB;
    let store = super::store(&args.endpoint, part_bytes * (args.in_flight as u64 + 1)).await?;
    let mut gets = Vec::new();
    for key in &args.key {
        let key = Key::parse(key)?;
        let facts = store.head(&key, None, RETRY_FOR).await?;
        let facts = facts.with_context(|| format!("there is no object {key}"))?;
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

/// A MiB of noise again and again, each with a number of its own.
struct Endless {
    block: Vec<u8>,
    at: usize,
    turn: u64,
}

impl Default for Endless {
    fn default() -> Endless {
        let mut block = vec![0; 1 << 20];
        Noise(1).fill(&mut block);
        Endless { block, at: 0, turn: 0 }
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.block.len() {
            this.at = 0;
            this.turn += 1;
            this.block[..8].copy_from_slice(&this.turn.to_le_bytes());
        }
        let count = buffer.remaining().min(this.block.len() - this.at);
        buffer.put_slice(&this.block[this.at..this.at + count]);
        this.at += count;
        Poll::Ready(Ok(()))
    }
}
