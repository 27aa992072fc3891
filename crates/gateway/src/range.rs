//! The `Range` header of a download (RFC 9110, section 14).

use std::ops::Range;

/// What a download sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range was asked for, or one that a server may ignore.
    Whole,
    Part(Range<u64>),
    /// 416: the range lies outside.
    Outside,
}

/// What `header` asks for, of a file of `size` bytes. Several ranges, other
/// units and malformed headers are ignored, as the RFC allows.
pub fn parse(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => return Wanted::Whole,
        (Some(first), Some(last)) => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(count)) if first.trim().is_empty() => size - size.min(count)..size,
        _ => return Wanted::Whole,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Outside }
}

/// Digits only: `u64::from_str` would take a sign.
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
    fn ranges() {
        use Wanted::*;
        #[rustfmt::skip]
        let cases = [
            (None,                    10, Whole),
            (Some("bytes=0-9"),       10, Part(0..10)),
            (Some("bytes=0-0"),       10, Part(0..1)),
            (Some("bytes=9-9"),       10, Part(9..10)),
            (Some("bytes=5-"),        10, Part(5..10)),
            (Some("bytes=5-99"),      10, Part(5..10)),
            (Some("bytes=-3"),        10, Part(7..10)),
            (Some("bytes=-99"),       10, Part(0..10)),
            (Some("bytes=10-"),       10, Outside),
            (Some("bytes=10-20"),     10, Outside),
            (Some("bytes=-0"),        10, Outside),
            (Some("bytes=0-"),         0, Outside),
            (Some("bytes=-5"),         0, Outside),
            (Some("bytes=3-2"),       10, Whole),
            (Some("bytes=0-1,3-4"),   10, Whole),
            (Some("bytes=+1-2"),      10, Whole),
            (Some("bytes=a-b"),       10, Whole),
            (Some("bytes="),          10, Whole),
            (Some("bytes=-"),         10, Whole),
            (Some("lines=1-2"),       10, Whole),
            (Some("bytes=0-99999999999999999999999"), 10, Part(0..10)),
            (Some("bytes=99999999999999999999999-"),  10, Outside),
        ];
        for (header, size, want) in cases {
            assert_eq!(parse(header, size), want, "{header:?} of {size}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(header in "bytes=[0-9-]{0,24}", size: u64) {
            if let Wanted::Part(range) = parse(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
