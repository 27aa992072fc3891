//! Splits a length into the parts of a multipart upload.
//!
//! Pure arithmetic. The limits are those of S3:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>

use std::ops::Range;

use crate::Size;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
/// Minimum length of a part. Only the last part may be shorter.
pub const PART_BYTES_MIN: u64 = 5 * MIB;
/// Maximum length of a part, and of an object that one PUT stores.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// Maximum number of parts of an upload.
pub const PART_COUNT_MAX: u64 = 10_000;
/// Maximum length of an object: 50 TB, a little less than 10,000 parts of 5 GiB.
pub const OBJECT_BYTES_MAX: u64 = 50_000_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an object of at most {} (the limit of S3), found {}", Size(*limit), Size(*object_bytes))]
pub struct TooLarge {
    pub object_bytes: u64,
    pub limit: u64,
}

/// Returns the part length for an object of at most `object_bytes`: the
/// configured one, or a longer one (a multiple of 1 MiB) if the object would need
/// more than 10,000 parts. It is always within the limits of S3.
///
/// ```
/// use s3up_core::part::{MIB, part_bytes};
/// assert_eq!(part_bytes(8 * MIB, 300 * MIB), Ok(8 * MIB));
/// assert_eq!(part_bytes(8 * MIB, 200 << 30), Ok(21 * MIB));
/// ```
pub fn part_bytes(configured: u64, object_bytes: u64) -> Result<u64, TooLarge> {
    part_bytes_within(PART_COUNT_MAX, configured, object_bytes)
}

/// Returns the part length for a server that accepts at most `parts_max` parts, at
/// least 1; [`part_bytes`] has the other rules.
pub fn part_bytes_within(
    parts_max: u64,
    configured: u64,
    object_bytes: u64,
) -> Result<u64, TooLarge> {
    let limit = object_bytes_max_within(parts_max, PART_BYTES_MAX);
    if object_bytes > limit {
        return Err(TooLarge { object_bytes, limit });
    }
    let needed = object_bytes.div_ceil(parts_max.max(1)).next_multiple_of(MIB);
    Ok(configured.max(needed).clamp(PART_BYTES_MIN, PART_BYTES_MAX))
}

/// Returns the maximum length of an object whose parts are `part_bytes` long.
pub fn object_bytes_max(part_bytes: u64) -> u64 {
    object_bytes_max_within(PART_COUNT_MAX, part_bytes)
}

/// Returns the maximum length of an object on a server that accepts at most
/// `parts_max` parts.
pub fn object_bytes_max_within(parts_max: u64, part_bytes: u64) -> u64 {
    part_bytes.saturating_mul(parts_max).min(OBJECT_BYTES_MAX)
}

/// Returns the byte ranges of the parts of an object, in order. An empty object
/// is one empty part.
pub fn parts(len: u64, part_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let count = len.div_ceil(part_bytes).max(1);
    (0..count).map(move |n| n * part_bytes..len.min((n + 1) * part_bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_is_as_long_as_configured_or_as_the_object_needs() {
        #[rustfmt::skip]
        let cases = [
            // configured  object                       part
            (8 * MIB,      0,                           8 * MIB),
            (1,            0,                           PART_BYTES_MIN),
            (6 << 30,      0,                           PART_BYTES_MAX),
            (8 * MIB,      80_000 * MIB,                8 * MIB),
            (8 * MIB,      80_000 * MIB + 1,            9 * MIB),
            (32 * MIB,     200 << 30,                   32 * MIB),
            (5 * MIB,      OBJECT_BYTES_MAX,            4769 * MIB),
        ];
        for (configured, object, want) in cases {
            assert_eq!(part_bytes(configured, object), Ok(want), "{configured} {object}");
        }
        let object_bytes = OBJECT_BYTES_MAX + 1;
        let limit = OBJECT_BYTES_MAX;
        assert_eq!(part_bytes(8 * MIB, object_bytes), Err(TooLarge { object_bytes, limit }));
    }

    #[test]
    fn fewer_parts_are_longer() {
        #[rustfmt::skip]
        let cases = [
            // parts   configured  object             part
            (1000,     32 * MIB,   31 << 30,          Ok(32 * MIB)),
            (1000,     32 * MIB,   200 << 30,         Ok(205 * MIB)),
            (1,        8 * MIB,    9 * MIB,           Ok(9 * MIB)),
            (1000,     32 * MIB,   1000 * PART_BYTES_MAX, Ok(PART_BYTES_MAX)),
        ];
        for (parts_max, configured, object, want) in cases {
            assert_eq!(
                part_bytes_within(parts_max, configured, object),
                want,
                "{parts_max} {object}"
            );
        }
        let (object_bytes, limit) = (1000 * PART_BYTES_MAX + 1, 1000 * PART_BYTES_MAX);
        let refused = part_bytes_within(1000, 32 * MIB, object_bytes);
        assert_eq!(refused, Err(TooLarge { object_bytes, limit }));
    }

    /// Tries every short length with every part length from 1 to 7 bytes.
    #[test]
    fn parts_cover_every_length_exactly() {
        for part in 1..=7 {
            for len in 0..=64 {
                assert_covers(len, part);
            }
        }
    }

    fn assert_covers(len: u64, part: u64) {
        let cut: Vec<_> = parts(len, part).collect();
        let (last, full) = cut.split_last().expect("at least one part");

        assert!(full.iter().all(|p| p.end - p.start == part), "{len}/{part}: {cut:?}");
        assert!(cut.windows(2).all(|w| w[0].end == w[1].start), "{len}/{part}: {cut:?}");
        assert_eq!((cut[0].start, last.end), (0, len), "{len}/{part}: {cut:?}");
        assert!(len == 0 || last.start < last.end, "an empty trailing part: {len}/{part}");
    }

    proptest! {
        #[test]
        fn every_object_fits_in_ten_thousand_valid_parts(
            configured in 0..2 * PART_BYTES_MAX,
            object in 0..=OBJECT_BYTES_MAX,
        ) {
            let part = part_bytes(configured, object).unwrap();
            prop_assert!((PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part));
            prop_assert!(object.div_ceil(part) <= PART_COUNT_MAX);
            prop_assert!(object <= object_bytes_max(part));
        }
    }
}
