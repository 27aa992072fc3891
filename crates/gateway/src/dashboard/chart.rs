//! Bars and sparklines, as numbers of SVG. Pure.
//!
//! The content security policy allows no `style` attribute, so sizes are attributes of SVG.

use std::fmt::Write;

/// Height of the shortest bar that is not zero.
const HEIGHT_MIN: u64 = 2;

/// The size of a sparkline in units of its view box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spark {
    pub height: u64,
    pub bar: u64,
    pub gap: u64,
}

impl Spark {
    pub(super) fn width(self, bars: usize) -> u64 {
        (self.bar + self.gap) * bars as u64 - self.gap
    }

    /// Returns the path of one bar for each value, the tallest for the greatest. A value that is not known
    /// has no bar, and 0 has one of one unit.
    pub(super) fn path(self, values: &[Option<u64>]) -> String {
        let greatest = values.iter().flatten().max().copied().unwrap_or_default();
        let mut path = String::new();
        for (n, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let height = self.bar_height(*value, greatest);
            let (x, y) = ((self.bar + self.gap) * n as u64, self.height - height);
            // To a string it cannot fail.
            write!(path, "M{x} {y}h{0}v{height}h-{0}z", self.bar).ok();
        }
        path
    }

    fn bar_height(self, value: u64, greatest: u64) -> u64 {
        if value == 0 {
            return 1;
        }
        let scaled = u128::from(value) * u128::from(self.height) / u128::from(greatest.max(1));
        u64::try_from(scaled).unwrap_or(self.height).clamp(HEIGHT_MIN, self.height)
    }
}

/// One part of a bar, in thousandths of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub start: u64,
    pub width: u64,
}

/// Returns the parts of a bar that shows counts side by side. A count that is not zero can be seen, so the
/// greatest one gives way.
pub(super) fn segments<const N: usize>(counts: [u64; N]) -> [Segment; N] {
    const WHOLE: u64 = 1000;
    const SEEN: u64 = 12;
    let total: u128 = counts.iter().copied().map(u128::from).sum();
    let mut widths = counts.map(|count| match count {
        0 => 0,
        count => {
            let exact = u128::from(count) * u128::from(WHOLE) / total;
            u64::try_from(exact).unwrap_or(WHOLE).max(SEEN)
        }
    });
    let sum: u64 = widths.iter().sum();
    if let Some(greatest) = widths.iter_mut().max()
        && sum > 0
    {
        *greatest = (*greatest + WHOLE).saturating_sub(sum);
    }
    let mut start = 0;
    widths.map(|width| {
        let segment = Segment { start, width };
        start += width;
        segment
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARK: Spark = Spark { height: 16, bar: 4, gap: 1 };

    #[test]
    fn a_sparkline_has_a_bar_for_each_known_value() {
        #[rustfmt::skip]
        let cases: [(&[Option<u64>], &str); 6] = [
            (&[],                             ""),
            (&[None, None],                   ""),
            (&[Some(0)],                      "M0 15h4v1h-4z"),
            (&[Some(8), None, Some(4)],       "M0 0h4v16h-4zM10 8h4v8h-4z"),
            // A small value can still be seen.
            (&[Some(1), Some(1_000_000)],     "M0 14h4v2h-4zM5 0h4v16h-4z"),
            (&[Some(u64::MAX)],               "M0 0h4v16h-4z"),
        ];
        for (values, want) in cases {
            assert_eq!(SPARK.path(values), want, "{values:?}");
        }
        assert_eq!(SPARK.width(7), 34);
    }

    #[test]
    fn the_parts_of_a_bar_fill_it_and_can_be_seen() {
        #[rustfmt::skip]
        let cases = [
            ([0, 0, 0],               [(0, 0), (0, 0), (0, 0)]),
            ([5, 0, 0],               [(0, 1000), (1000, 0), (1000, 0)]),
            ([1, 1, 2],               [(0, 250), (250, 250), (500, 500)]),
            ([1_000_000, 1, 0],       [(0, 988), (988, 12), (1000, 0)]),
            ([1, 1_000_000, 1],       [(0, 12), (12, 976), (988, 12)]),
            ([u64::MAX, u64::MAX, 0], [(0, 500), (500, 500), (1000, 0)]),
            ([1, 1, 1],               [(0, 333), (333, 333), (666, 334)]),
        ];
        for (counts, want) in cases {
            let want = want.map(|(start, width)| Segment { start, width });
            assert_eq!(segments(counts), want, "{counts:?}");
        }
    }
}
