//! Pieces of a file that later operations replace.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::operation::EncodedWrite;

/// Place of the bytes of an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the stream of this level, from this byte on.
    Stream { level: usize, start: u64 },
    /// In compressed data; the extent begins after `skip` bytes of what the write stores.
    Encoded { level: usize, write: EncodedWrite, skip: u64 },
}

/// A range of a file whose bytes come from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
    pub source: Source,
}

impl Source {
    /// Returns the level of the stream that has the bytes.
    pub fn level(&self) -> usize {
        match self {
            Source::Stream { level, .. } | Source::Encoded { level, .. } => *level,
        }
    }

    fn skipped(&self, bytes: u64) -> Source {
        match self.clone() {
            Source::Stream { level, start } => Source::Stream { level, start: start + bytes },
            Source::Encoded { level, write, skip } => {
                Source::Encoded { level, write, skip: skip + bytes }
            }
        }
    }
}

/// Extents that do not overlap, by offset.
#[derive(Debug, Default)]
pub(super) struct Pieces(BTreeMap<u64, (u64, Source)>);

impl Pieces {
    /// Replaces a range.
    pub(super) fn put(&mut self, offset: u64, length: u64, source: Source) {
        if length > 0 {
            self.clear(offset, length);
            self.0.insert(offset, (length, source));
        }
    }

    /// Replaces the part of a range that is within another one.
    pub(super) fn put_within(
        &mut self,
        within: &Range<u64>,
        offset: u64,
        length: u64,
        source: Source,
    ) {
        let start = offset.max(within.start);
        let end = offset.saturating_add(length).min(within.end);
        if start < end {
            self.put(start, end - start, source.skipped(start - offset));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Makes a range a hole.
    pub(super) fn clear(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length);
        if let Some((start, (before, source))) = self.0.range(..offset).next_back()
            && start + before > offset
        {
            let (start, before, source) = (*start, *before, source.clone());
            if start + before > end {
                let rest = (start + before - end, source.skipped(end - start));
                self.0.insert(end, rest);
            }
            self.0.insert(start, (offset - start, source));
        }
        while let Some((start, (inside, source))) = self.0.range(offset..end).next() {
            let (start, inside) = (*start, *inside);
            let rest =
                (start + inside > end).then(|| (start + inside - end, source.skipped(end - start)));
            self.0.remove(&start);
            if let Some(rest) = rest {
                self.0.insert(end, rest);
            }
        }
    }

    pub(super) fn truncate(&mut self, length: u64) {
        self.clear(length, u64::MAX - length);
    }

    /// Returns the extents within a range.
    pub(super) fn cut(&self, range: Range<u64>) -> Vec<Extent> {
        let first = self.0.range(..=range.start).next_back().map_or(range.start, |(at, _)| *at);
        let cut = |(at, (length, source)): (&u64, &(u64, Source))| {
            let start = range.start.max(*at);
            let end = range.end.min(at + length);
            let length = end.checked_sub(start).filter(|length| *length > 0)?;
            Some(Extent { offset: start, length, source: source.skipped(start - at) })
        };
        self.0.range(first..range.end.max(first)).filter_map(cut).collect()
    }

    pub(super) fn into_extents(self) -> impl Iterator<Item = Extent> {
        let extent = |(offset, (length, source))| Extent { offset, length, source };
        self.0.into_iter().map(extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u64, u64),
        Clear(u64, u64),
        Truncate(u64),
    }

    fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
        use proptest::prelude::*;
        let step = prop_oneof![
            (0..200_u64, 0..60_u64).prop_map(|(at, length)| Step::Put(at, length)),
            (0..200_u64, 0..60_u64).prop_map(|(at, length)| Step::Clear(at, length)),
            (0..260_u64).prop_map(Step::Truncate),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest::proptest! {
        #[test]
        fn pieces_behave_like_an_array_of_bytes(steps in steps(), from in 0..260_u64, length in 0..260_u64) {
            let mut pieces = Pieces::default();
            let mut bytes = [None; 300];
            for (n, step) in steps.into_iter().enumerate() {
                let base = (n as u64 + 1) * 1000;
                match step {
                    Step::Put(at, length) => {
                        pieces.put(at, length, Source::Stream { level: 0, start: base });
                        (0..length).for_each(|i| bytes[(at + i) as usize] = Some(base + i));
                    }
                    Step::Clear(at, length) => {
                        pieces.clear(at, length);
                        (0..length).for_each(|i| bytes[(at + i) as usize] = None);
                    }
                    Step::Truncate(length) => {
                        pieces.truncate(length);
                        bytes[length as usize..].fill(None);
                    }
                }
            }
            let mut found = [None; 600];
            for extent in pieces.cut(from..from + length) {
                let Source::Stream { start, .. } = extent.source else { unreachable!() };
                for i in 0..extent.length {
                    found[(extent.offset + i) as usize] = Some(start + i);
                }
            }
            for at in 0..300 {
                let want = bytes[at].filter(|_| (from..from + length).contains(&(at as u64)));
                proptest::prop_assert_eq!(found[at], want, "byte {}", at);
            }
        }
    }
}
