use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const MIB: u64 = 1 << 20;

/// A source of numbered KiB that counts what was read from it.
struct Numbers {
    left: u64,
    at: u64,
    read: Arc<AtomicU64>,
    fails: bool,
}

impl Numbers {
    fn new(bytes: u64) -> (Numbers, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        (Numbers { left: bytes, at: 0, read: read.clone(), fails: false }, read)
    }
}

impl AsyncRead for Numbers {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 && self.fails {
            return Poll::Ready(Err(io::Error::other("it broke")));
        }
        let count = self.left.min(buf.remaining() as u64).min(10_000);
        for _ in 0..count {
            buf.put_slice(&[number(self.at)]);
            self.at += 1;
        }
        self.left -= count;
        self.read.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

fn number(at: u64) -> u8 {
    (at >> 10) as u8
}

fn spool(directory: &tempfile::TempDir, limit_bytes: u64) -> Spool {
    Spool { directory: directory.path().to_owned(), limit_bytes }
}

#[tokio::test]
async fn a_stream_is_read_as_it_was_written() {
    for len in [0, 1, MIB, MIB + 1, 3 * MIB - 1, 20 * MIB] {
        let directory = tempfile::tempdir().unwrap();
        let mut spooled = spool(&directory, 2 * MIB).start(Numbers::new(len).0);
        let mut found = Vec::new();

        spooled.read_to_end(&mut found).await.unwrap();

        assert_eq!(found.len() as u64, len);
        assert!(found.iter().enumerate().all(|(at, byte)| *byte == number(at as u64)));
        assert!(spooled.end().await.is_some_and(|source| source.left == 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_fills_to_its_limit_and_not_beyond() {
    let directory = tempfile::tempdir().unwrap();
    let (source, read) = Numbers::new(40 * MIB);
    let mut spooled = spool(&directory, 10 * MIB).start(source);
    let read = || read.load(Ordering::Relaxed);

    // Ten pieces are on disk. Pieces on their way to the reader free nothing, because
    // their file is not read to its end. One more piece waits to be written.
    let limit = std::time::Duration::from_secs(20);
    let is_filled = || read() == 11 * MIB;
    assert!(s3up_testkit::wait_until(limit, is_filled), "{}", read());
    let mut found = vec![0; 9 * MIB as usize];
    spooled.read_exact(&mut found).await.unwrap();
    assert!(s3up_testkit::wait_until(limit, || read() > 11 * MIB));
    assert!(read() <= 23 * MIB, "{}", read());

    assert!(spooled.end().await.is_some_and(|source| source.left > 0), "the source was stopped");
}

#[tokio::test]
async fn an_error_of_the_source_is_passed_on_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let (mut source, _) = Numbers::new(3 * MIB);
    source.fails = true;
    let mut spooled = spool(&directory, 100 * MIB).start(source);

    let err = spooled.read_to_end(&mut Vec::new()).await.unwrap_err();

    assert_eq!(err.to_string(), "it broke");
}

#[tokio::test]
async fn a_missing_spool_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool { directory: directory.path().join("no/such"), limit_bytes: 2 * MIB };

    let err = spool.start(Numbers::new(10).0).read_to_end(&mut Vec::new()).await.unwrap_err();

    assert!(err.to_string().contains("no/such"), "{err}");
}
