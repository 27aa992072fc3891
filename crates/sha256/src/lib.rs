//! SHA-256 of a stream and of each of its parts in one pass, and of two parts at
//! once.
//!
//! A manifest holds the digest of each chunk, and the digest of each of its
//! parts: two hashes of the same bytes, and hashing is the largest cost of a
//! backup. But both cut the bytes into the same blocks of 64, so the message
//! schedule of a block is the same for both; and the rounds of one SHA-256 keep
//! the processor's SHA unit busy half of the time only, because each waits for
//! the one before. So two states that take each block together cost hardly more
//! than one: [`PartedSha256`]. And where many parts are there, as on the way back,
//! two of them take turns: [`of_two`].
//!
//! Where the processor has no SHA instructions, or is of another kind than
//! x86-64, it is two hashes by the library.

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
use x86::Unit;

#[cfg(not(target_arch = "x86_64"))]
mod none;

#[cfg(not(target_arch = "x86_64"))]
use none::Unit;

use s3up_core::{Sha256, Sha256Digest};

const BLOCK_BYTES: usize = 64;
/// FIPS 180-4, 5.3.3.
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The words a to h.
type State = [u32; 8];

/// A SHA-256 of a stream that arrives in parts.
#[derive(Clone)]
pub struct PartedSha256(Engine);

#[derive(Clone)]
enum Engine {
    Unit(Unit, Whole),
    Library(Sha256),
}

/// What was taken so far.
#[derive(Clone)]
struct Whole {
    state: State,
    bytes: u64,
    /// What follows the last whole block.
    tail: Vec<u8>,
}

impl Default for PartedSha256 {
    fn default() -> PartedSha256 {
        PartedSha256(match Unit::detect() {
            Some(unit) => Engine::Unit(unit, Whole::default()),
            None => Engine::Library(Sha256::default()),
        })
    }
}

impl PartedSha256 {
    /// Takes the next part, of any length, and returns its own digest. In one
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

    /// The digest of all parts together.
    pub fn finish(self) -> Sha256Digest {
        match self.0 {
            Engine::Unit(unit, whole) => ended(unit, whole.state, &whole.tail, whole.bytes),
            Engine::Library(whole) => whole.finish(),
        }
    }
}

/// The digests of two parts, sooner than one after the other: as far as the
/// shorter one reaches.
pub fn of_two(parts: [&[u8]; 2]) -> [Sha256Digest; 2] {
    let Some(unit) = Unit::detect() else { return parts.map(Sha256Digest::of) };
    let both = parts[0].len().min(parts[1].len());
    let both = both - both % BLOCK_BYTES;
    let mut states = [INITIAL; 2];
    unit.compress(&mut states, parts.map(|part| &part[..both]));
    [0, 1].map(|n| {
        let (blocks, tail) = parts[n].split_at(parts[n].len() - parts[n].len() % BLOCK_BYTES);
        let mut state = [states[n]];
        unit.compress(&mut state, [&blocks[both..]]);
        ended(unit, state[0], tail, parts[n].len() as u64)
    })
}

impl Default for Whole {
    fn default() -> Whole {
        Whole { state: INITIAL, bytes: 0, tail: Vec::with_capacity(BLOCK_BYTES) }
    }
}

impl Whole {
    fn add(&mut self, unit: Unit, part: &[u8]) -> Sha256Digest {
        self.bytes += part.len() as u64;
        if !self.tail.is_empty() {
            self.add_alone(unit, part);
            return Sha256Digest::of(part);
        }
        let (blocks, rest) = part.split_at(part.len() - part.len() % BLOCK_BYTES);
        let mut states = [self.state, INITIAL];
        unit.compress(&mut states, [blocks]);
        let [whole, alone] = states;
        self.state = whole;
        self.tail.extend_from_slice(rest);
        ended(unit, alone, rest, part.len() as u64)
    }

    /// Takes bytes that do not begin with a block.
    fn add_alone(&mut self, unit: Unit, part: &[u8]) {
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

/// The digest of `bytes` bytes, of which all whole blocks are in `state`: adds
/// the padding (FIPS 180-4, 5.1.1).
fn ended(unit: Unit, state: State, tail: &[u8], bytes: u64) -> Sha256Digest {
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

    /// Each of them that this machine has.
    fn engines() -> Vec<PartedSha256> {
        let library = PartedSha256(Engine::Library(Sha256::default()));
        vec![library, PartedSha256::default()]
    }

    fn agrees(parts: &[Vec<u8>]) {
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
    fn every_length_around_the_blocks() {
        for bytes in 0..=300 {
            agrees(&[noise(bytes)]);
            agrees(&[noise(128), noise(bytes)]);
            agrees(&[noise(bytes), noise(bytes)]);
        }
        agrees(&[]);
    }

    #[test]
    fn two_at_once() {
        for one in [0, 1, 63, 64, 65, 1000, 5000] {
            for other in [0, 55, 56, 64, 128, 999, 4096] {
                let parts = [&noise(one)[..], &noise(other + 7)[7..]];
                assert_eq!(of_two(parts), parts.map(Sha256Digest::of), "{one} and {other}");
            }
        }
    }

    /// FIPS 180-4, and the one with a million letters.
    #[test]
    fn known_digests() {
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

    /// What ./check and CI run on has them; elsewhere this says so.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_unit_is_used_where_there_is_one() {
        let is_there = std::is_x86_feature_detected!("sha");
        assert_eq!(matches!(PartedSha256::default().0, Engine::Unit(..)), is_there);
    }

    proptest! {
        #[test]
        fn any_parts(lengths in prop::collection::vec(0..1000usize, 0..8), seed: u8) {
            let parts: Vec<Vec<u8>> = lengths
                .into_iter()
                .map(|bytes| noise(bytes).into_iter().map(|byte| byte ^ seed).collect())
                .collect();
            agrees(&parts);
        }
    }
}
