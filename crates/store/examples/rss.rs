//! Streams synthetic bytes into a bucket, and says how fast and with how much
//! memory: the proof that memory does not depend on the length of a stream.
//!
//! Credentials come from the environment or a profile.
//!
//! ```text
//! cargo run --release -p s3up-store --example rss -- ENDPOINT BUCKET GIB [PART_MIB] [IN_FLIGHT]
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use s3up_core::Key;
use s3up_store::{Bandwidth, Credentials, Patience, Profile, PutChunks, Settings, Sse, Store};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

const MIB: u64 = 1 << 20;
const RETRY_FOR: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, bucket, gib, more @ ..] = &args[..] else {
        return Err("usage: rss ENDPOINT BUCKET GIB [PART_MIB] [IN_FLIGHT]".into());
    };
    let bytes = gib.parse::<u64>()? << 30;
    let part_bytes = more.first().map_or(Ok(32), |text| text.parse())? * MIB;
    let in_flight: usize = more.get(1).map_or(Ok(4), |text| text.parse())?;
    let store = Store::connect(Settings {
        endpoint: Some(endpoint.clone()),
        region: "us-east-1".to_owned(),
        bucket: bucket.clone(),
        credentials: Credentials::Found,
        profile: Profile::Generic,
        ca_file: None,
        storage_class: None,
        sse: Sse::Unsaid,
        buffer_budget_bytes: part_bytes * (in_flight as u64 + 1),
        patience: Patience::default(),
        bandwidth: Bandwidth::default(),
    })
    .await?;
    let put = PutChunks {
        chunk_count_max: 10_000,
        metadata: std::collections::BTreeMap::new(),
        overwrite: s3up_store::Overwrite::Allowed,
        // One key for all, so that the bucket need not hold the whole stream.
        key_of: &|_| Key::parse("rss/chunk").expect("a key"),
        chunk_bytes: 1 << 30,
        part_bytes,
        content_type: None,
        storage_class: None,
        in_flight,
        retry_for: RETRY_FOR,
    };
    let began = Instant::now();
    let chunks = store.upload_chunks(&put, Noise::default().take(bytes)).await?;
    let mib_per_second = (bytes / MIB) as f64 / began.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        "{gib} GiB in {} chunks, {in_flight} parts of {} MiB in flight: \
         {mib_per_second:.0} MiB/s, peak RSS {}",
        chunks.len(),
        part_bytes / MIB,
        peak_rss()?
    )?;
    Ok(())
}

/// As the kernel counts it, since the process began.
fn peak_rss() -> io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.unwrap_or("unknown").trim().to_owned())
}

/// Bytes that cost nearly nothing to make, and of which no two parts are alike.
struct Noise {
    block: Vec<u8>,
    at: usize,
    turn: u64,
}

impl Default for Noise {
    fn default() -> Noise {
        let word = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).to_le_bytes();
        Noise { block: (0..MIB / 8).flat_map(word).collect(), at: 0, turn: 0 }
    }
}

impl AsyncRead for Noise {
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
