//! Cuts a stream into parts, in pooled buffers.
//!
//! Where a part ends exactly at the end of the stream, that is only known
//! after reading on; so a few bytes are read ahead (the [`Cut::ahead`]), and
//! no upload ever has an empty last part. A stream may be cut into several
//! objects as well; then no object is ever empty but that of an empty stream.
//! Length limits are enforced here, while bytes arrive.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::pool::{Buffer, Pool, PoolError, Share};

/// Bytes that are read to learn whether the stream goes on.
const AHEAD_BYTES: usize = 4096;

/// How long the stream is, as far as its sender said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Exactly(u64),
    AtMost(u64),
}

impl Length {
    pub fn max(self) -> u64 {
        match self {
            Length::Exactly(bytes) | Length::AtMost(bytes) => bytes,
        }
    }
}

/// How a cut waits for its buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    pub share: Option<Share>,
    /// `None`: for ever.
    pub limit: Option<Duration>,
}

/// A part, and what ends with it.
#[derive(Debug)]
pub(crate) struct Part {
    pub buffer: Buffer,
    pub ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Another part of the same object follows.
    Part,
    /// Another object follows.
    Object,
    Stream,
}

#[derive(Debug)]
pub(crate) enum CutError {
    Source(io::Error),
    Pool(PoolError),
    /// The stream is longer than `limit`.
    TooLong {
        limit: u64,
    },
    /// The stream ended after `found` of `expected` bytes.
    TooShort {
        expected: u64,
        found: u64,
    },
}

pub(crate) struct Cut<R> {
    source: R,
    pool: Pool,
    part_bytes: u64,
    /// Longer objects are cut in two.
    object_bytes: u64,
    /// Bytes of the current object that were handed out.
    object_taken: u64,
    length: Length,
    waiting: Waiting,
    /// Bytes read from the source.
    read: u64,
    /// Read, but not part of any buffer yet.
    ahead: Vec<u8>,
    /// The buffer being filled: kept here so that `next` may be dropped and
    /// called again without losing a byte.
    filling: Option<Buffer>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Cut<R> {
    pub(crate) fn new(
        source: R,
        pool: Pool,
        part_bytes: u64,
        length: Length,
        waiting: Waiting,
    ) -> Cut<R> {
        Cut {
            source,
            pool,
            part_bytes,
            object_bytes: u64::MAX,
            object_taken: 0,
            length,
            waiting,
            read: 0,
            ahead: Vec::with_capacity(AHEAD_BYTES),
            filling: None,
            ended: false,
        }
    }

    /// Cuts the stream into objects of `object_bytes`, at least 1, as well.
    pub(crate) fn into_objects_of(mut self, object_bytes: u64) -> Cut<R> {
        self.object_bytes = object_bytes;
        self
    }

    /// The next part. May be dropped at any await and called again. After the
    /// part that ends the stream it must not be called.
    pub(crate) async fn next(&mut self) -> Result<Part, CutError> {
        if self.filling.is_none() {
            let object_left = self.object_bytes - self.object_taken;
            let stream_left = self.length.max() - self.taken();
            let len = self.part_bytes.min(object_left).min(stream_left);
            let buffer =
                self.pool.take_within(len, self.waiting.share.as_ref(), self.waiting.limit).await;
            let mut buffer = buffer.map_err(CutError::Pool)?;
            let taken = buffer.fill_from(&self.ahead);
            self.ahead.drain(..taken);
            self.filling = Some(buffer);
        }
        self.fill().await?;
        self.look_ahead().await?;
        let buffer = self.filling.take().expect("a buffer was filled above");
        let ends = self.pass(buffer.filled_len() as u64);
        Ok(Part { buffer, ends })
    }

    /// Counts a part that is handed out, and says what ends with it.
    fn pass(&mut self, len: u64) -> Ends {
        self.object_taken += len;
        if self.ended && self.ahead.is_empty() {
            return Ends::Stream;
        }
        if self.object_taken < self.object_bytes {
            return Ends::Part;
        }
        self.object_taken = 0;
        Ends::Object
    }

    /// Bytes that were handed out in parts.
    fn taken(&self) -> u64 {
        self.read - self.ahead.len() as u64
    }

    async fn fill(&mut self) -> Result<(), CutError> {
        while let Some(buffer) = self.filling.as_mut() {
            if self.ended || buffer.is_full() {
                break;
            }
            let count = self.source.read(buffer.unfilled()).await.map_err(CutError::Source)?;
            buffer.advance(count);
            self.count(count)?;
        }
        Ok(())
    }

    /// Learns whether anything follows the buffer that is full now.
    async fn look_ahead(&mut self) -> Result<(), CutError> {
        if self.ended || !self.ahead.is_empty() {
            return Ok(());
        }
        let mut ahead = [0; AHEAD_BYTES];
        let count = self.source.read(&mut ahead).await.map_err(CutError::Source)?;
        self.ahead.extend_from_slice(&ahead[..count]);
        self.count(count)
    }

    fn count(&mut self, count: usize) -> Result<(), CutError> {
        self.read += count as u64;
        self.ended = count == 0;
        match self.length {
            _ if self.read > self.length.max() => {
                Err(CutError::TooLong { limit: self.length.max() })
            }
            Length::Exactly(expected) if self.ended && self.read < expected => {
                Err(CutError::TooShort { expected, found: self.read })
            }
            Length::Exactly(_) | Length::AtMost(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = 8;

    async fn cut(stream: &[u8], length: Length) -> Result<Vec<Vec<u8>>, CutError> {
        let mut cut = Cut::new(stream, Pool::new(1 << 20), PART, length, Waiting::default());
        let mut parts = Vec::new();
        loop {
            let part = cut.next().await?;
            parts.push(part.buffer.to_vec());
            if part.ends == Ends::Stream {
                return Ok(parts);
            }
        }
    }

    #[tokio::test]
    async fn every_length_is_cut_exactly() {
        let stream: Vec<u8> = (0..=255).collect();
        for len in 0..=4 * PART {
            let stream = &stream[..len as usize];
            let want: Vec<_> = s3up_core::part::parts(len, PART)
                .map(|p| stream[p.start as usize..p.end as usize].to_vec())
                .collect();
            for length in [Length::Exactly(len), Length::AtMost(len), Length::AtMost(1000)] {
                assert_eq!(cut(stream, length).await.unwrap(), want, "{len} {length:?}");
            }
        }
    }

    #[tokio::test]
    async fn every_stream_is_cut_into_objects_exactly() {
        let stream: Vec<u8> = (0..=255).collect();
        for object_bytes in [1, 3, PART - 1, PART, PART + 1, 2 * PART, 3 * PART - 1] {
            for len in 0..=4 * PART {
                let stream = &stream[..len as usize];
                let cut = Cut::new(
                    stream,
                    Pool::new(1 << 20),
                    PART,
                    Length::AtMost(1000),
                    Waiting::default(),
                );

                let objects = objects(cut.into_objects_of(object_bytes)).await;

                let want: Vec<Vec<Vec<u8>>> = s3up_core::part::parts(len, object_bytes)
                    .map(|object| &stream[object.start as usize..object.end as usize])
                    .map(parts_of)
                    .collect();
                assert_eq!(objects, want, "{len} in objects of {object_bytes}");
            }
        }
    }

    #[tokio::test]
    async fn a_wrong_length_is_noticed() {
        for len in 0..20u64 {
            let stream = vec![7; len as usize];
            let long = cut(&stream, Length::Exactly(len + 1)).await.unwrap_err();
            let want = len + 1;
            assert!(
                matches!(long, CutError::TooShort { expected, found } if (expected, found) == (want, len))
            );
            if len > 0 {
                for length in [Length::Exactly(len - 1), Length::AtMost(len - 1)] {
                    let err = cut(&stream, length).await.unwrap_err();
                    assert!(matches!(err, CutError::TooLong { limit } if limit == len - 1));
                }
            }
        }
    }

    #[tokio::test]
    async fn dropping_a_call_loses_no_byte() {
        let (mut tx, rx) = tokio::io::duplex(3);
        let mut cut =
            Cut::new(rx, Pool::new(1 << 20), PART, Length::AtMost(100), Waiting::default());
        let mut got = Vec::new();
        let writer = tokio::spawn(async move {
            for byte in 0..50u8 {
                tokio::io::AsyncWriteExt::write_all(&mut tx, &[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        loop {
            // Polls `next` once, and drops it where it is not ready.
            let once = std::future::poll_fn(|cx| {
                let next = std::pin::pin!(cut.next());
                std::task::Poll::Ready(next.poll(cx))
            });
            match once.await {
                std::task::Poll::Ready(part) => {
                    let part = part.unwrap();
                    got.extend_from_slice(&part.buffer);
                    if part.ends == Ends::Stream {
                        break;
                    }
                }
                std::task::Poll::Pending => tokio::task::yield_now().await,
            }
        }
        writer.await.unwrap();
        assert_eq!(got, (0..50).collect::<Vec<u8>>());
    }

    async fn objects(mut cut: Cut<&[u8]>) -> Vec<Vec<Vec<u8>>> {
        let mut objects = vec![vec![]];
        loop {
            let part = cut.next().await.expect("a part");
            objects.last_mut().expect("one at least").push(part.buffer.to_vec());
            match part.ends {
                Ends::Part => {}
                Ends::Object => objects.push(vec![]),
                Ends::Stream => return objects,
            }
        }
    }

    fn parts_of(object: &[u8]) -> Vec<Vec<u8>> {
        s3up_core::part::parts(object.len() as u64, PART)
            .map(|part| object[part.start as usize..part.end as usize].to_vec())
            .collect()
    }
}
