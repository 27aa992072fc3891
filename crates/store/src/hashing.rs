//! Digests, computed beside the sending.
//!
//! Long work goes to the blocking threads; a short buffer is hashed where it
//! is, because handing it over would cost more.

use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme as ALGORITHM;
use s3up_core::{Crc64Nvme, Sha256, Sha256Digest};
use s3up_sha256::PartedSha256;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Up to here hashing takes less than 0.2 ms.
const INLINE_BYTES_MAX: usize = 256 << 10;

pub(crate) const CRC64_OF_NOTHING: Crc64Nvme = Crc64Nvme(0);

pub(crate) fn crc64_now(bytes: &[u8]) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum(ALGORITHM, bytes))
}

pub(crate) async fn crc64(bytes: Bytes) -> Crc64Nvme {
    if bytes.len() <= INLINE_BYTES_MAX {
        return crc64_now(&bytes);
    }
    joined(tokio::task::spawn_blocking(move || crc64_now(&bytes))).await
}

pub(crate) async fn sha256(bytes: Bytes) -> Sha256Digest {
    if bytes.len() <= INLINE_BYTES_MAX {
        return Sha256Digest::of(&bytes);
    }
    joined(tokio::task::spawn_blocking(move || Sha256Digest::of(&bytes))).await
}

/// The CRC of two stretches put together, from the CRC of each.
pub(crate) fn crc64_join(first: Crc64Nvme, second: Crc64Nvme, second_len: u64) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum_combine(ALGORITHM, first.0, second.0, second_len))
}

/// Which SHA-256 are wanted of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digests {
    OfWhole,
    /// In one pass.
    OfWholeAndParts,
}

/// A SHA-256 over stretches that arrive in order, and of each of them where that
/// is wanted. [`Sha256Chain::add`] returns at once; a buffer is held until its
/// turn is over.
pub(crate) struct Sha256Chain(Turn);

/// Whose turn it is to hold the hasher.
enum Turn {
    Nobody(Hasher),
    Task(JoinHandle<Hasher>),
    /// For the blink of an eye between two of them.
    Passing,
}

enum Hasher {
    Whole(Sha256),
    Parted(PartedSha256, Vec<Sha256Digest>),
}

impl Sha256Chain {
    pub(crate) fn new(digests: Digests) -> Sha256Chain {
        Sha256Chain(Turn::Nobody(match digests {
            Digests::OfWhole => Hasher::Whole(Sha256::default()),
            Digests::OfWholeAndParts => Hasher::Parted(PartedSha256::default(), Vec::new()),
        }))
    }

    pub(crate) fn add(&mut self, bytes: Bytes) {
        self.add_telling(bytes, None);
    }

    /// The same, and the digest of this stretch comes as soon as it is known;
    /// never where those of stretches are not wanted.
    pub(crate) fn add_told(&mut self, bytes: Bytes) -> oneshot::Receiver<Sha256Digest> {
        let (tell, told) = oneshot::channel();
        self.add_telling(bytes, Some(tell));
        told
    }

    fn add_telling(&mut self, bytes: Bytes, tell: Option<oneshot::Sender<Sha256Digest>>) {
        let before = std::mem::replace(&mut self.0, Turn::Passing);
        self.0 = Turn::Task(tokio::spawn(async move {
            let mut hasher = before.over().await;
            let (hasher, digest) = if bytes.len() <= INLINE_BYTES_MAX {
                let digest = hasher.update(&bytes);
                (hasher, digest)
            } else {
                let work = move || {
                    let digest = hasher.update(&bytes);
                    (hasher, digest)
                };
                joined(tokio::task::spawn_blocking(work)).await
            };
            if let (Some(tell), Some(digest)) = (tell, digest) {
                // Whoever asked may be gone.
                tell.send(digest).ok();
            }
            hasher
        }));
    }

    /// The digest of the whole, and of each stretch where that was wanted.
    pub(crate) async fn finish(self) -> (Sha256Digest, Vec<Sha256Digest>) {
        match self.0.over().await {
            Hasher::Whole(whole) => (whole.finish(), Vec::new()),
            Hasher::Parted(whole, parts) => (whole.finish(), parts),
        }
    }
}

impl Turn {
    async fn over(self) -> Hasher {
        match self {
            Turn::Nobody(hasher) => hasher,
            Turn::Task(task) => joined(task).await,
            Turn::Passing => unreachable!("a turn is passed within one call"),
        }
    }
}

impl Hasher {
    /// The digest of these bytes, where it is wanted.
    fn update(&mut self, bytes: &[u8]) -> Option<Sha256Digest> {
        match self {
            Hasher::Whole(whole) => {
                whole.update(bytes);
                None
            }
            Hasher::Parted(whole, parts) => {
                let digest = whole.add(bytes);
                parts.push(digest);
                Some(digest)
            }
        }
    }
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(err) if err.is_panic() => std::panic::resume_unwind(err.into_panic()),
        // Only a runtime that is shutting down cancels these tasks, and then
        // nobody is there to be answered.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chain_hashes_in_order() {
        let whole: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let pieces: Vec<_> = whole.chunks(300_000).collect();
        let of_pieces: Vec<_> = pieces.iter().map(|piece| Sha256Digest::of(piece)).collect();
        for (digests, wanted) in [(Digests::OfWhole, vec![]), (Digests::OfWholeAndParts, of_pieces)]
        {
            let mut chain = Sha256Chain::new(digests);
            for piece in &pieces {
                chain.add(Bytes::copy_from_slice(piece));
            }
            assert_eq!(chain.finish().await, (Sha256Digest::of(&whole), wanted), "{digests:?}");
        }
    }

    #[test]
    fn crcs_can_be_put_together() {
        let (one, two) = (b"1234", b"56789");
        let joined = crc64_join(crc64_now(one), crc64_now(two), two.len() as u64);
        assert_eq!(joined, crc64_now(b"123456789"));
        assert_eq!(joined.to_string(), "rosUhgp5mIg=");
        assert_eq!(crc64_join(CRC64_OF_NOTHING, joined, 9), joined);
    }
}
