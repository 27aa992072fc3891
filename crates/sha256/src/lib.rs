//! SHA-256 of a stream and of each of its parts in one pass, and of two parts at
//! once.
//!
//! A backup needs the digest of each chunk and of each of its parts. These are two
//! hashes of the same bytes, and hashing is the largest cost of a backup. Both
//! hashes cut the bytes into the same blocks of 64 bytes, so they share the message
//! schedule of each block. Besides, the rounds of a single SHA-256 use only half of
//! the processor's SHA unit, because each round waits for the one before. So two
//! states that process each block together cost hardly more than one
//! ([`PartedSha256`]). A download, which has many parts at once, hashes two of them
//! in alternation ([`digest_pair`]).
//!
//! On processors without SHA instructions, and on those that are not x86-64, the
//! library computes two separate hashes.

mod block;

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
use x86_64::Unit;

#[cfg(not(target_arch = "x86_64"))]
mod unsupported;

#[cfg(not(target_arch = "x86_64"))]
use unsupported::Unit;

use s3up_core::{Sha256, Sha256Digest};

use self::block::{BLOCK_BYTES, INITIAL, State};

/// Computes the SHA-256 of a stream that arrives in parts, and of each part.
#[derive(Clone)]
pub struct PartedSha256(Engine);

#[derive(Clone)]
enum Engine {
    Unit(Unit, StreamHash),
    Library(Sha256),
}

/// The hash of all parts so far.
#[derive(Clone)]
struct StreamHash {
    state: State,
    bytes: u64,
    /// Bytes after the last whole block.
    tail: Vec<u8>,
}

impl Default for PartedSha256 {
    fn default() -> PartedSha256 {
        PartedSha256(match Unit::detect() {
            Some(unit) => Engine::Unit(unit, StreamHash::default()),
            None => Engine::Library(Sha256::default()),
        })
    }
}

impl PartedSha256 {
    /// Adds the next part, of any length, and returns its own digest. This takes one
    /// pass, unless the parts before it end within a block.
    pub fn add(&mut self, part: &[u8]) -> Sha256Digest {
        match &mut self.0 {
            Engine::Unit(unit, whole) => whole.add(*unit, part),
            Engine::Library(whole) => {
                whole.update(part);
                Sha256Digest::of(part)
            }
        }
    }

    /// Returns the digest of all parts together.
    pub fn finish(self) -> Sha256Digest {
        match self.0 {
            Engine::Unit(unit, whole) => finish_digest(unit, whole.state, &whole.tail, whole.bytes),
            Engine::Library(whole) => whole.finish(),
        }
    }
}

/// Returns the digests of two parts. Up to the length of the shorter one they are
/// computed together, which is faster than one after the other.
pub fn digest_pair(parts: [&[u8]; 2]) -> [Sha256Digest; 2] {
    let Some(unit) = Unit::detect() else { return parts.map(Sha256Digest::of) };
    let both = parts[0].len().min(parts[1].len());
    let both = both - both % BLOCK_BYTES;
    let mut states = [INITIAL; 2];
    unit.compress(&mut states, parts.map(|part| &part[..both]));
    [0, 1].map(|n| {
        let (blocks, tail) = parts[n].split_at(parts[n].len() - parts[n].len() % BLOCK_BYTES);
        let mut state = [states[n]];
        unit.compress(&mut state, [&blocks[both..]]);
        finish_digest(unit, state[0], tail, parts[n].len() as u64)
    })
}

impl Default for StreamHash {
    fn default() -> StreamHash {
        StreamHash { state: INITIAL, bytes: 0, tail: Vec::with_capacity(BLOCK_BYTES) }
    }
}

impl StreamHash {
    fn add(&mut self, unit: Unit, part: &[u8]) -> Sha256Digest {
        self.bytes += part.len() as u64;
        if !self.tail.is_empty() {
            self.add_unaligned(unit, part);
            return Sha256Digest::of(part);
        }
        let (blocks, rest) = part.split_at(part.len() - part.len() % BLOCK_BYTES);
        let mut states = [self.state, INITIAL];
        unit.compress(&mut states, [blocks]);
        let [whole, alone] = states;
        self.state = whole;
        self.tail.extend_from_slice(rest);
        finish_digest(unit, alone, rest, part.len() as u64)
    }

    /// Adds bytes that do not start at the start of a block.
    fn add_unaligned(&mut self, unit: Unit, part: &[u8]) {
        let missing = (BLOCK_BYTES - self.tail.len()).min(part.len());
        let (first, part) = part.split_at(missing);
        self.tail.extend_from_slice(first);
        if self.tail.len() < BLOCK_BYTES {
            return;
        }
        let (blocks, rest) = part.split_at(part.len() - part.len() % BLOCK_BYTES);
        let mut states = [self.state];
        unit.compress(&mut states, [&self.tail]);
        unit.compress(&mut states, [blocks]);
        [self.state] = states;
        self.tail.clear();
        self.tail.extend_from_slice(rest);
    }
}

/// Adds the padding (FIPS 180-4, 5.1.1) and returns the digest of `bytes` bytes, of
/// which `state` covers all whole blocks, and `tail` is the rest.
fn finish_digest(unit: Unit, state: State, tail: &[u8], bytes: u64) -> Sha256Digest {
    const LENGTH_BYTES: usize = 8;
    let mut end = [0; 2 * BLOCK_BYTES];
    end[..tail.len()].copy_from_slice(tail);
    end[tail.len()] = 0x80;
    let fits = tail.len() + 1 + LENGTH_BYTES <= BLOCK_BYTES;
    let end = if fits { &mut end[..BLOCK_BYTES] } else { &mut end[..] };
    let at = end.len() - LENGTH_BYTES;
    end[at..].copy_from_slice(&(bytes * 8).to_be_bytes());
    let mut states = [state];
    unit.compress(&mut states, [end]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(states[0]) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Sha256Digest(digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns all engines that this machine has.
    fn engines() -> Vec<PartedSha256> {
        let library = PartedSha256(Engine::Library(Sha256::default()));
        vec![library, PartedSha256::default()]
    }

    fn assert_digests(parts: &[Vec<u8>]) {
        for mut engine in engines() {
            for part in parts {
                assert_eq!(engine.add(part), Sha256Digest::of(part));
            }
            assert_eq!(engine.finish(), Sha256Digest::of(&parts.concat()));
        }
    }

    fn noise(bytes: usize) -> Vec<u8> {
        (0..bytes as u32).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect()
    }

    #[test]
    fn parts_of_every_length_around_a_block_have_the_right_digests() {
        for bytes in 0..=300 {
            assert_digests(&[noise(bytes)]);
            assert_digests(&[noise(128), noise(bytes)]);
            assert_digests(&[noise(bytes), noise(bytes)]);
        }
        assert_digests(&[]);
    }

    #[test]
    fn a_pair_of_parts_has_the_digests_of_both() {
        for one in [0, 1, 63, 64, 65, 1000, 5000] {
            for other in [0, 55, 56, 64, 128, 999, 4096] {
                let parts = [&noise(one)[..], &noise(other + 7)[7..]];
                assert_eq!(digest_pair(parts), parts.map(Sha256Digest::of), "{one} and {other}");
            }
        }
    }

    /// The vectors of FIPS 180-4: "abc", and a million letters "a".
    #[test]
    fn published_vectors_have_their_digests() {
        for mut engine in engines() {
            let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(engine.add(b"abc").to_string(), abc);
            assert_eq!(engine.finish().to_string(), abc);
        }
        let million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        for mut engine in engines() {
            for _ in 0..1000 {
                engine.add(&[b'a'; 1000]);
            }
            assert_eq!(engine.finish().to_string(), million);
        }
    }

    /// Machines that run `./check` and CI have these instructions.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_sha_unit_is_used_if_the_processor_has_one() {
        let is_there = std::is_x86_feature_detected!("sha");
        assert_eq!(matches!(PartedSha256::default().0, Engine::Unit(..)), is_there);
    }

    proptest! {
        #[test]
        fn any_parts_have_the_right_digests(lengths in prop::collection::vec(0..1000usize, 0..8), seed: u8) {
            let parts: Vec<Vec<u8>> = lengths
                .into_iter()
                .map(|bytes| noise(bytes).into_iter().map(|byte| byte ^ seed).collect())
                .collect();
            assert_digests(&parts);
        }
    }
}
