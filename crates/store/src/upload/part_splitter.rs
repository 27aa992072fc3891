//! Splits a stream into parts, in pooled buffers, and optionally into objects.
//!
//! Only another read shows if the stream continues after a full part.
//! A few bytes are therefore read ahead (the [`PartSplitter::lookahead`]), and no upload
//! has an empty last part. If the stream is split into objects, no object is empty
//! except that of an empty stream. Length limits are enforced while bytes arrive.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::buffers::buffer::Buffer;
use crate::buffers::pool::{Pool, PoolError, Share};

/// Bytes to read to find out whether the stream continues.
const LOOKAHEAD_BYTES: usize = 4096;

/// The known length of the stream.
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

/// Limits of the wait for buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct BufferWait {
    pub share: Option<Share>,
    /// Limit for the first buffer; `None` means forever. For a later one there is no limit: others
    /// send theirs meanwhile, and what was sent would be lost.
    pub limit: Option<Duration>,
}

/// A part, and what ends with it.
#[derive(Debug)]
pub(crate) struct Part {
    pub buffer: Buffer,
    pub boundary: Boundary,
}

/// The unit that ends with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Another part of the same object follows.
    Part,
    /// Another object follows.
    Object,
    Stream,
}

#[derive(Debug)]
pub(crate) enum SplitError {
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

pub(crate) struct PartSplitter<R> {
    source: R,
    pool: Pool,
    part_bytes: u64,
    /// Maximum length of an object.
    object_bytes: u64,
    /// Bytes of the current object that were returned.
    object_taken: u64,
    length: Length,
    buffer_wait: BufferWait,
    /// Bytes that were read from the source.
    read: u64,
    /// Bytes that were read and are not in a buffer yet.
    lookahead: Vec<u8>,
    /// The buffer that is being filled. It is kept here so that a dropped call of
    /// `next` loses no byte.
    filling: Option<Buffer>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> PartSplitter<R> {
    pub(crate) fn new(
        source: R,
        pool: Pool,
        part_bytes: u64,
        length: Length,
        buffer_wait: BufferWait,
    ) -> PartSplitter<R> {
        PartSplitter {
            source,
            pool,
            part_bytes,
            object_bytes: u64::MAX,
            object_taken: 0,
            length,
            buffer_wait,
            read: 0,
            lookahead: Vec::with_capacity(LOOKAHEAD_BYTES),
            filling: None,
            ended: false,
        }
    }

    /// Also splits the stream into objects of `object_bytes`, at least 1.
    pub(crate) fn into_objects_of(mut self, object_bytes: u64) -> PartSplitter<R> {
        self.object_bytes = object_bytes;
        self
    }

    /// Returns the next part. Cancel-safe: it may be dropped and called again. Must
    /// not be called after the part that ends the stream.
    pub(crate) async fn next(&mut self) -> Result<Part, SplitError> {
        if self.filling.is_none() {
            let object_left = self.object_bytes - self.object_taken;
            let stream_left = self.length.max() - self.returned();
            let len = self.part_bytes.min(object_left).min(stream_left);
            let BufferWait { share, limit } = &self.buffer_wait;
            let limit = limit.filter(|_| self.read == 0);
            let buffer = self.pool.take_within(len, share.as_ref(), limit).await;
            let mut buffer = buffer.map_err(SplitError::Pool)?;
            let taken = buffer.fill_from(&self.lookahead);
            self.lookahead.drain(..taken);
            self.filling = Some(buffer);
        }
        self.fill().await?;
        self.look_ahead().await?;
        let buffer = self.filling.take().expect("a buffer was filled above");
        let boundary = self.boundary_after(buffer.filled_len() as u64);
        Ok(Part { buffer, boundary })
    }

    /// Counts a part that is returned, and says what ends with it.
    fn boundary_after(&mut self, len: u64) -> Boundary {
        self.object_taken += len;
        if self.ended && self.lookahead.is_empty() {
            return Boundary::Stream;
        }
        if self.object_taken < self.object_bytes {
            return Boundary::Part;
        }
        self.object_taken = 0;
        Boundary::Object
    }

    /// Returns the number of bytes that were returned in parts.
    fn returned(&self) -> u64 {
        self.read - self.lookahead.len() as u64
    }

    async fn fill(&mut self) -> Result<(), SplitError> {
        while let Some(buffer) = self.filling.as_mut() {
            if self.ended || buffer.is_full() {
                break;
            }
            let count = self.source.read(buffer.unfilled()).await.map_err(SplitError::Source)?;
            buffer.advance(count);
            self.count(count)?;
        }
        Ok(())
    }

    /// Finds out whether anything follows the full buffer.
    async fn look_ahead(&mut self) -> Result<(), SplitError> {
        if self.ended || !self.lookahead.is_empty() {
            return Ok(());
        }
        let mut lookahead = [0; LOOKAHEAD_BYTES];
        let count = self.source.read(&mut lookahead).await.map_err(SplitError::Source)?;
        self.lookahead.extend_from_slice(&lookahead[..count]);
        self.count(count)
    }

    fn count(&mut self, count: usize) -> Result<(), SplitError> {
        self.read += count as u64;
        self.ended = count == 0;
        match self.length {
            _ if self.read > self.length.max() => {
                Err(SplitError::TooLong { limit: self.length.max() })
            }
            Length::Exactly(expected) if self.ended && self.read < expected => {
                Err(SplitError::TooShort { expected, found: self.read })
            }
            Length::Exactly(_) | Length::AtMost(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = 8;

    async fn split(stream: &[u8], length: Length) -> Result<Vec<Vec<u8>>, SplitError> {
        let mut splitter =
            PartSplitter::new(stream, Pool::new(1 << 20), PART, length, BufferWait::default());
        let mut parts = Vec::new();
        loop {
            let part = splitter.next().await?;
            parts.push(part.buffer.to_vec());
            if part.boundary == Boundary::Stream {
                return Ok(parts);
            }
        }
    }

    #[tokio::test]
    async fn a_stream_of_any_length_is_split_into_exact_parts() {
        let stream: Vec<u8> = (0..=255).collect();
        for len in 0..=4 * PART {
            let stream = &stream[..len as usize];
            let want: Vec<_> = s3up_core::part::parts(len, PART)
                .map(|p| stream[p.start as usize..p.end as usize].to_vec())
                .collect();
            for length in [Length::Exactly(len), Length::AtMost(len), Length::AtMost(1000)] {
                assert_eq!(split(stream, length).await.unwrap(), want, "{len} {length:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_stream_of_any_length_is_split_into_exact_objects() {
        let stream: Vec<u8> = (0..=255).collect();
        for object_bytes in [1, 3, PART - 1, PART, PART + 1, 2 * PART, 3 * PART - 1] {
            for len in 0..=4 * PART {
                let stream = &stream[..len as usize];
                let splitter = PartSplitter::new(
                    stream,
                    Pool::new(1 << 20),
                    PART,
                    Length::AtMost(1000),
                    BufferWait::default(),
                );

                let objects = objects(splitter.into_objects_of(object_bytes)).await;

                let want: Vec<Vec<Vec<u8>>> = s3up_core::part::parts(len, object_bytes)
                    .map(|object| &stream[object.start as usize..object.end as usize])
                    .map(parts_of)
                    .collect();
                assert_eq!(objects, want, "{len} in objects of {object_bytes}");
            }
        }
    }

    #[tokio::test]
    async fn a_stream_of_another_length_than_announced_is_an_error() {
        for len in 0..20u64 {
            let stream = vec![7; len as usize];
            let long = split(&stream, Length::Exactly(len + 1)).await.unwrap_err();
            let want = len + 1;
            assert!(
                matches!(long, SplitError::TooShort { expected, found } if (expected, found) == (want, len))
            );
            if len > 0 {
                for length in [Length::Exactly(len - 1), Length::AtMost(len - 1)] {
                    let err = split(&stream, length).await.unwrap_err();
                    assert!(matches!(err, SplitError::TooLong { limit } if limit == len - 1));
                }
            }
        }
    }

    #[tokio::test]
    async fn dropping_a_call_loses_no_byte() {
        let (mut tx, rx) = tokio::io::duplex(3);
        let mut splitter = PartSplitter::new(
            rx,
            Pool::new(1 << 20),
            PART,
            Length::AtMost(100),
            BufferWait::default(),
        );
        let mut got = Vec::new();
        let writer = tokio::spawn(async move {
            for byte in 0..50u8 {
                tokio::io::AsyncWriteExt::write_all(&mut tx, &[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        loop {
            // Polls `next` once and drops it if it is not ready.
            let once = std::future::poll_fn(|cx| {
                let next = std::pin::pin!(splitter.next());
                std::task::Poll::Ready(next.poll(cx))
            });
            match once.await {
                std::task::Poll::Ready(part) => {
                    let part = part.unwrap();
                    got.extend_from_slice(&part.buffer);
                    if part.boundary == Boundary::Stream {
                        break;
                    }
                }
                std::task::Poll::Pending => tokio::task::yield_now().await,
            }
        }
        writer.await.unwrap();
        assert_eq!(got, (0..50).collect::<Vec<u8>>());
    }

    async fn objects(mut splitter: PartSplitter<&[u8]>) -> Vec<Vec<Vec<u8>>> {
        let mut objects = vec![vec![]];
        loop {
            let part = splitter.next().await.expect("a part");
            objects.last_mut().expect("one at least").push(part.buffer.to_vec());
            match part.boundary {
                Boundary::Part => {}
                Boundary::Object => objects.push(vec![]),
                Boundary::Stream => return objects,
            }
        }
    }

    fn parts_of(object: &[u8]) -> Vec<Vec<u8>> {
        s3up_core::part::parts(object.len() as u64, PART)
            .map(|part| object[part.start as usize..part.end as usize].to_vec())
            .collect()
    }
}
