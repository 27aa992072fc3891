//! The SHA unit of x86-64.
//!
//! This follows "Intel SHA Extensions" (Gulley et al., 2013). A state is two
//! vectors, ABEF and CDGH; `sha256rnds2` does two rounds.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use crate::block::{BLOCK_BYTES, State};

/// Proof that this processor has the instructions of [`compress`].
#[derive(Clone, Copy)]
pub struct Unit(());

impl Unit {
    pub fn detect() -> Option<Unit> {
        let is_there = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        is_there.then_some(Unit(()))
    }

    /// Adds whole blocks to the states. A single lane goes into all states. Several
    /// lanes, all of the same length, go into one state each.
    pub fn compress<const N: usize, const M: usize>(
        self,
        states: &mut [State; N],
        lanes: [&[u8]; M],
    ) {
        #[expect(unsafe_code, reason = "not every processor has these instructions")]
        // SAFETY: only `detect` creates a `Unit`, after it found all features that
        // `compress` is compiled for. `compress` has no other requirement.
        unsafe {
            compress(states, lanes);
        }
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress<const N: usize, const M: usize>(states: &mut [State; N], lanes: [&[u8]; M]) {
    const { assert!(M == 1 || M == N, "one lane for all states, or one for each") };
    let nothing = _mm_setzero_si128();
    let mut abef = [nothing; N];
    let mut cdgh = [nothing; N];
    for (n, [a, b, c, d, e, f, g, h]) in states.iter().map(|state| state.map(signed)).enumerate() {
        abef[n] = _mm_set_epi32(a, b, e, f);
        cdgh[n] = _mm_set_epi32(c, d, g, h);
    }
    let lanes = lanes.map(|lane| lane.as_chunks::<BLOCK_BYTES>().0);
    let blocks = lanes.iter().map(|lane| lane.len()).min().unwrap_or(0);
    #[expect(clippy::needless_range_loop, reason = "it is an index into every lane")]
    for at in 0..blocks {
        let (abef_before, cdgh_before) = (abef, cdgh);
        // Separate variables keep the schedule in registers.
        let (mut w0, mut w1, mut w2, mut w3) =
            ([nothing; M], [nothing; M], [nothing; M], [nothing; M]);
        for m in 0..M {
            let (quarters, _) = lanes[m][at].as_chunks();
            w0[m] = big_endian_words(quarters[0]);
            w1[m] = big_endian_words(quarters[1]);
            w2[m] = big_endian_words(quarters[2]);
            w3[m] = big_endian_words(quarters[3]);
        }
        for k in 0..4 {
            if k > 0 {
                w0 = extended(w0, w1, w2, w3);
                w1 = extended(w1, w2, w3, w0);
                w2 = extended(w2, w3, w0, w1);
                w3 = extended(w3, w0, w1, w2);
            }
            four_rounds(&mut abef, &mut cdgh, w0, 4 * k);
            four_rounds(&mut abef, &mut cdgh, w1, 4 * k + 1);
            four_rounds(&mut abef, &mut cdgh, w2, 4 * k + 2);
            four_rounds(&mut abef, &mut cdgh, w3, 4 * k + 3);
        }
        for n in 0..N {
            abef[n] = _mm_add_epi32(abef[n], abef_before[n]);
            cdgh[n] = _mm_add_epi32(cdgh[n], cdgh_before[n]);
        }
    }
    for (state, (abef, cdgh)) in states.iter_mut().zip(abef.into_iter().zip(cdgh)) {
        let ([f, e, b, a], [h, g, d, c]) = (words_of(abef), words_of(cdgh));
        *state = [a, b, c, d, e, f, g, h];
    }
}

/// Does four rounds. State `n` takes the words of lane `n`, or of the only lane.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn four_rounds<const N: usize, const M: usize>(
    abef: &mut [__m128i; N],
    cdgh: &mut [__m128i; N],
    mut words: [__m128i; M],
    number: usize,
) {
    for lane in &mut words {
        *lane = _mm_add_epi32(*lane, constants(number));
    }
    for n in 0..N {
        cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], words[n % M]);
    }
    for lane in &mut words {
        *lane = _mm_shuffle_epi32::<0b00_00_11_10>(*lane);
    }
    for n in 0..N {
        abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], words[n % M]);
    }
}

/// Returns the next four words of the message schedule, for each lane.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn extended<const M: usize>(
    oldest: [__m128i; M],
    second: [__m128i; M],
    third: [__m128i; M],
    newest: [__m128i; M],
) -> [__m128i; M] {
    let mut words = oldest;
    for m in 0..M {
        words[m] = _mm_sha256msg1_epu32(oldest[m], second[m]);
        words[m] = _mm_add_epi32(words[m], _mm_alignr_epi8::<4>(newest[m], third[m]));
        words[m] = _mm_sha256msg2_epu32(words[m], newest[m]);
    }
    words
}

#[target_feature(enable = "sse2,ssse3")]
#[inline]
fn big_endian_words(bytes: [u8; 16]) -> __m128i {
    let word = u128::from_le_bytes(bytes);
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm_shuffle_epi8(_mm_set_epi64x((word >> 64) as i64, word as i64), swap)
}

#[target_feature(enable = "sse2")]
#[inline]
fn constants(four_rounds: usize) -> __m128i {
    let [k0, k1, k2, k3] = ROUND_CONSTANTS[four_rounds].map(signed);
    _mm_set_epi32(k3, k2, k1, k0)
}

/// Returns the words of a vector, lowest first.
#[target_feature(enable = "sse2,sse4.1")]
#[inline]
fn words_of(vector: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(vector),
        _mm_extract_epi32::<1>(vector),
        _mm_extract_epi32::<2>(vector),
        _mm_extract_epi32::<3>(vector),
    ]
    .map(i32::cast_unsigned)
}

fn signed(word: u32) -> i32 {
    word.cast_signed()
}

/// FIPS 180-4, 4.2.2.
#[rustfmt::skip]
const ROUND_CONSTANTS: [[u32; 4]; 16] = [
    [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5], [0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
    [0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3], [0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
    [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc], [0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
    [0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7], [0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
    [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13], [0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
    [0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3], [0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
    [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5], [0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
    [0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208], [0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
];
