//! Memory depends on the parts in flight, not on the amount of data.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use s3up_core::Key;
use s3up_devstore::Op;
use s3up_store::{Get, Pool, PutChunks};
use tokio::io::{AsyncRead, ReadBuf};

use crate::fixture::{RETRY_FOR, SMALL_PART, World, get, noise, put_small};

const IN_FLIGHT: usize = 3;

#[tokio::test]
async fn a_stream_of_chunks_uses_memory_for_its_parts_in_flight_and_one_more() {
    let world = World::small().await;
    let body = noise(40 * SMALL_PART);
    let most = Arc::new(AtomicU64::new(0));
    let watched =
        Watched { source: &body[..], pool: world.store.pool().clone(), most: most.clone() };
    let put = PutChunks {
        chunk_count_max: 100,
        metadata: std::collections::BTreeMap::new(),
        overwrite: s3up_store::Overwrite::Allowed,
        key_of: &|number| Key::parse(&format!("chunk-{number}")).expect("a key"),
        chunk_bytes: 3 * SMALL_PART + 5,
        part_bytes: SMALL_PART,
        content_type: None,
        storage_class: None,
        in_flight: IN_FLIGHT,
        retry_for: RETRY_FOR,
    };

    world.store.upload_chunks(&put, watched).await.unwrap();

    let most = most.load(Ordering::Relaxed);
    assert!(most <= (IN_FLIGHT as u64 + 1) * SMALL_PART, "{most} bytes were used");
    assert!(most > SMALL_PART, "several parts were in flight at once");
    world.stop().await;
}

#[tokio::test]
async fn a_download_uses_memory_for_its_ranges_in_flight_and_the_one_being_read() {
    let world = World::small().await;
    for key in ["a", "b"] {
        world.store.upload(put_small(key), &noise(20 * SMALL_PART)[..]).await.unwrap();
    }
    let mut gets = Vec::new();
    for key in ["a", "b"] {
        let facts = world.head(key).await.unwrap();
        gets.push(Get { part_bytes: SMALL_PART, in_flight: IN_FLIGHT, ..get(key, facts) });
    }
    let mut sequence = world.store.download_sequence(gets);
    let mut held = None;
    loop {
        let bytes = sequence.next().await.unwrap();
        let used = world.store.pool().used_bytes();
        assert!(used <= (IN_FLIGHT as u64 + 1) * SMALL_PART, "{used} bytes are used");
        if bytes.is_none() {
            break;
        }
        // The reader keeps the last bytes while it asks for the next.
        held = bytes;
    }
    assert!(held.is_some());
    assert_eq!(world.calls(Op::GetObject), 40);
    drop(held);
    world.stop().await;
}

/// Measures the pool whenever the store reads from the source.
struct Watched<'a> {
    source: &'a [u8],
    pool: Pool,
    most: Arc<AtomicU64>,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.most.fetch_max(self.pool.used_bytes(), Ordering::Relaxed);
        Pin::new(&mut self.source).poll_read(context, buffer)
    }
}
