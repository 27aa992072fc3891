//! The `Range` header of a download (RFC 9110, section 14).

use std::ops::Range;

/// The bytes of a file that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedRange {
    /// The whole file: the request has no range, or one that a server may ignore.
    WholeFile,
    Part(Range<u64>),
    /// The range is outside the file (status 416).
    NotSatisfiable,
}

/// Returns the bytes that `header` asks for, of a file of `size` bytes. Several
/// ranges, other units and malformed headers are ignored, as the RFC allows.
pub fn parse(header: Option<&str>, size: u64) -> RequestedRange {
    use RequestedRange::{NotSatisfiable, Part, WholeFile};
    let Some(spec) = header.and_then(|h| h.strip_prefix("bytes=")) else { return WholeFile };
    let Some((first, last)) = spec.trim().split_once('-') else { return WholeFile };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => return WholeFile,
        (Some(first), Some(last)) => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(count)) if first.trim().is_empty() => size - size.min(count)..size,
        _ => return WholeFile,
    };
    if range.start < range.end { Part(range) } else { NotSatisfiable }
}

/// Parses digits. `u64::from_str` would also accept a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_selects_bytes_of_the_file() {
        use RequestedRange::*;
        #[rustfmt::skip]
        let cases = [
            (None,                    10, WholeFile),
            (Some("bytes=0-9"),       10, Part(0..10)),
            (Some("bytes=0-0"),       10, Part(0..1)),
            (Some("bytes=9-9"),       10, Part(9..10)),
            (Some("bytes=5-"),        10, Part(5..10)),
            (Some("bytes=5-99"),      10, Part(5..10)),
            (Some("bytes=-3"),        10, Part(7..10)),
            (Some("bytes=-99"),       10, Part(0..10)),
            (Some("bytes=10-"),       10, NotSatisfiable),
            (Some("bytes=10-20"),     10, NotSatisfiable),
            (Some("bytes=-0"),        10, NotSatisfiable),
            (Some("bytes=0-"),         0, NotSatisfiable),
            (Some("bytes=-5"),         0, NotSatisfiable),
            (Some("bytes=3-2"),       10, WholeFile),
            (Some("bytes=0-1,3-4"),   10, WholeFile),
            (Some("bytes=+1-2"),      10, WholeFile),
            (Some("bytes=a-b"),       10, WholeFile),
            (Some("bytes="),          10, WholeFile),
            (Some("bytes=-"),         10, WholeFile),
            (Some("lines=1-2"),       10, WholeFile),
            (Some("bytes=0-99999999999999999999999"), 10, Part(0..10)),
            (Some("bytes=99999999999999999999999-"),  10, NotSatisfiable),
        ];
        for (header, size, want) in cases {
            assert_eq!(parse(header, size), want, "{header:?} of {size}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(header in "bytes=[0-9-]{0,24}", size: u64) {
            if let RequestedRange::Part(range) = parse(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
