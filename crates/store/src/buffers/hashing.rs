//! Computes digests while the bytes are being sent.
//!
//! Long buffers are hashed on blocking threads; a short one is hashed in place,
//! because handing it over would cost more.

use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme as ALGORITHM;
use s3up_core::{Crc64Nvme, Sha256, Sha256Digest};
use s3up_sha256::PartedSha256;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Hashing this much takes less than 0.2 ms.
const INLINE_BYTES_MAX: usize = 256 << 10;

pub(crate) const CRC64_OF_NOTHING: Crc64Nvme = Crc64Nvme(0);

pub(crate) fn crc64_now(bytes: &[u8]) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum(ALGORITHM, bytes))
}

pub(crate) async fn crc64(bytes: Bytes) -> Crc64Nvme {
    if bytes.len() <= INLINE_BYTES_MAX {
        return crc64_now(&bytes);
    }
    join(tokio::task::spawn_blocking(move || crc64_now(&bytes))).await
}

pub(crate) async fn sha256(bytes: Bytes) -> Sha256Digest {
    if bytes.len() <= INLINE_BYTES_MAX {
        return Sha256Digest::of(&bytes);
    }
    join(tokio::task::spawn_blocking(move || Sha256Digest::of(&bytes))).await
}

/// Returns the CRC of two consecutive ranges from the CRC of each.
pub(crate) fn crc64_combine(first: Crc64Nvme, second: Crc64Nvme, second_len: u64) -> Crc64Nvme {
    Crc64Nvme(crc_fast::checksum_combine(ALGORITHM, first.0, second.0, second_len))
}

/// The SHA-256 digests that a chain computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digests {
    OfWhole,
    /// Computes both in one pass.
    OfWholeAndParts,
}

/// The SHA-256 of ranges that arrive in order, and of each range if requested.
/// [`Sha256Chain::add`] returns at once; a buffer is held until it was hashed.
pub(crate) struct Sha256Chain(Owner);

/// The current owner of the hasher.
enum Owner {
    Chain(Hasher),
    Task(JoinHandle<Hasher>),
    /// The hasher moves from one task to the next, within one call.
    Changing,
}

enum Hasher {
    Whole(Sha256),
    Parted(PartedSha256, Vec<Sha256Digest>),
}

impl Sha256Chain {
    pub(crate) fn new(digests: Digests) -> Sha256Chain {
        Sha256Chain(Owner::Chain(match digests {
            Digests::OfWhole => Hasher::Whole(Sha256::default()),
            Digests::OfWholeAndParts => Hasher::Parted(PartedSha256::default(), Vec::new()),
        }))
    }

    pub(crate) fn add(&mut self, bytes: Bytes) {
        self.add_and_reply(bytes, None);
    }

    /// Adds bytes like [`Sha256Chain::add`]; the receiver gets the digest of this range as
    /// soon as it is known, or never if the chain does not compute digests of
    /// ranges.
    pub(crate) fn add_with_digest(&mut self, bytes: Bytes) -> oneshot::Receiver<Sha256Digest> {
        let (reply, digest) = oneshot::channel();
        self.add_and_reply(bytes, Some(reply));
        digest
    }

    fn add_and_reply(&mut self, bytes: Bytes, reply: Option<oneshot::Sender<Sha256Digest>>) {
        let before = std::mem::replace(&mut self.0, Owner::Changing);
        self.0 = Owner::Task(tokio::spawn(async move {
            let mut hasher = before.hasher().await;
            let (hasher, digest) = if bytes.len() <= INLINE_BYTES_MAX {
                let digest = hasher.update(&bytes);
                (hasher, digest)
            } else {
                let work = move || {
                    let digest = hasher.update(&bytes);
                    (hasher, digest)
                };
                join(tokio::task::spawn_blocking(work)).await
            };
            if let (Some(reply), Some(digest)) = (reply, digest) {
                // The caller may have been dropped.
                reply.send(digest).ok();
            }
            hasher
        }));
    }

    /// Returns the digest of the whole, and of each range if requested.
    pub(crate) async fn finish(self) -> (Sha256Digest, Vec<Sha256Digest>) {
        match self.0.hasher().await {
            Hasher::Whole(whole) => (whole.finish(), Vec::new()),
            Hasher::Parted(whole, parts) => (whole.finish(), parts),
        }
    }
}

impl Owner {
    async fn hasher(self) -> Hasher {
        match self {
            Owner::Chain(hasher) => hasher,
            Owner::Task(task) => join(task).await,
            Owner::Changing => unreachable!("the owner changes within one call"),
        }
    }
}

impl Hasher {
    /// Returns the digest of these bytes if requested.
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

async fn join<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(err) if err.is_panic() => std::panic::resume_unwind(err.into_panic()),
        // Only a runtime that is shutting down cancels these tasks, and then there
        // is no caller left to answer.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chain_hashes_ranges_in_order() {
        let whole: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let ranges: Vec<_> = whole.chunks(300_000).collect();
        let of_ranges: Vec<_> = ranges.iter().map(|range| Sha256Digest::of(range)).collect();
        for (digests, wanted) in [(Digests::OfWhole, vec![]), (Digests::OfWholeAndParts, of_ranges)]
        {
            let mut chain = Sha256Chain::new(digests);
            for range in &ranges {
                chain.add(Bytes::copy_from_slice(range));
            }
            assert_eq!(chain.finish().await, (Sha256Digest::of(&whole), wanted), "{digests:?}");
        }
    }

    #[test]
    fn crcs_of_two_ranges_are_combined() {
        let (one, two) = (b"1234", b"56789");
        let combined = crc64_combine(crc64_now(one), crc64_now(two), two.len() as u64);
        assert_eq!(combined, crc64_now(b"123456789"));
        assert_eq!(combined.to_string(), "rosUhgp5mIg=");
        assert_eq!(crc64_combine(CRC64_OF_NOTHING, combined, 9), combined);
    }
}
