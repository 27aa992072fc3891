//! Decides what each chunk needs before it can be read. Pure; the time is a parameter.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use s3up_core::{Count, Key, Size};
use s3up_store::ArchiveState;

use super::required_objects::RequiredObjects;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The action that makes a chunk readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is readable for long enough.
    Nothing,
    /// Its thaw is in progress.
    Time,
    Request,
    /// It is readable, but less than half of the days are left.
    Extension,
}

/// The state of all objects of a chain at one moment: its chunks, and the documents that a rule
/// of the bucket has archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThawState {
    pub total: usize,
    /// Number of documents in `total`.
    pub documents: usize,
    /// Length of the chunks.
    pub total_bytes: u64,
    /// Number of readable objects.
    pub ready: usize,
    /// Length of the readable chunks.
    pub ready_bytes: u64,
    /// Objects whose thaw is in progress.
    pub under_way: Vec<Key>,
    pub to_request: Vec<Key>,
    pub to_extend: Vec<Key>,
    /// Time at which the first copy expires; `None` if there are no copies.
    pub expires_at: Option<SystemTime>,
}

/// Decides for one object, whose copy should stay for `days`.
pub fn need(state: ArchiveState, days: u32, now: SystemTime) -> Need {
    match state {
        ArchiveState::NotArchived => Need::Nothing,
        ArchiveState::InProgress => Need::Time,
        ArchiveState::Archived => Need::Request,
        ArchiveState::Ready { expires_at } if expires_at < now + DAY * days / 2 => Need::Extension,
        ArchiveState::Ready { .. } => Need::Nothing,
    }
}

impl ThawState {
    pub fn of(
        wanted: &RequiredObjects,
        states: &BTreeMap<Key, ArchiveState>,
        days: u32,
        now: SystemTime,
    ) -> ThawState {
        let mut of_chain = ThawState::default();
        let chunks = wanted.chunks.iter().map(|(key, bytes)| (key, *bytes));
        let documents = wanted.documents.iter().map(|key| (key, 0));
        for (n, (key, bytes)) in chunks.chain(documents).enumerate() {
            let state = states.get(key).copied().unwrap_or(ArchiveState::Archived);
            if n >= wanted.chunks.len() {
                if state == ArchiveState::NotArchived {
                    continue;
                }
                of_chain.documents += 1;
            }
            of_chain.total += 1;
            of_chain.total_bytes = of_chain.total_bytes.saturating_add(bytes);
            match need(state, days, now) {
                Need::Nothing => of_chain.count_ready(bytes),
                Need::Time => of_chain.under_way.push(key.clone()),
                Need::Request => of_chain.to_request.push(key.clone()),
                Need::Extension => {
                    of_chain.count_ready(bytes);
                    of_chain.to_extend.push(key.clone());
                }
            }
            if let ArchiveState::Ready { expires_at } = state {
                of_chain.expires_at =
                    Some(of_chain.expires_at.map_or(expires_at, |at| at.min(expires_at)));
            }
        }
        of_chain
    }

    fn count_ready(&mut self, bytes: u64) {
        self.ready += 1;
        self.ready_bytes = self.ready_bytes.saturating_add(bytes);
    }

    pub fn is_ready(&self) -> bool {
        self.ready == self.total
    }

    /// Returns the number of all objects, with their noun.
    pub fn count(&self) -> Count {
        Count::of(self.total, if self.documents == 0 { "chunk" } else { "object" })
    }
}

impl fmt::Display for ThawState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ready, total) = (Size(self.ready_bytes), Size(self.total_bytes));
        let are = if self.total == 1 { "is" } else { "are" };
        write!(f, "{} of {} {are} readable", self.ready, self.count())?;
        if self.total_bytes == 0 {
            return Ok(());
        }
        write!(f, " ({ready} of {total})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ArchiveState::{Archived, InProgress, NotArchived, Ready};

    fn day(day: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * day
    }

    #[test]
    fn a_chunk_is_requested_if_archived_and_extended_after_half_its_days() {
        let until = |at| Ready { expires_at: day(at) };
        #[rustfmt::skip]
        let cases = [
            // state       days  need, on day 10
            (NotArchived,  14,   Need::Nothing),
            (InProgress,   14,   Need::Time),
            (Archived,     14,   Need::Request),
            (until(11),    14,   Need::Extension),
            (until(16),    14,   Need::Extension),
            (until(17),    14,   Need::Nothing),
            (until(24),    14,   Need::Nothing),
            (until(11),    1,    Need::Nothing),
            (until(11),    2,    Need::Nothing),
        ];
        for (state, days, want) in cases {
            assert_eq!(need(state, days, day(10)), want, "{state:?} {days}");
        }
    }

    #[test]
    fn a_chain_is_ready_when_each_chunk_is() {
        let key = |name: &str| Key::parse(name).unwrap();
        let chunks =
            BTreeMap::from([(key("a"), 1), (key("b"), 10), (key("c"), 100), (key("d"), 1000)]);
        let wanted = RequiredObjects { chunks: chunks.clone(), ..RequiredObjects::default() };
        let states = |c, d| {
            let a_and_b = [(key("a"), NotArchived), (key("b"), Ready { expires_at: day(12) })];
            BTreeMap::from_iter(a_and_b.into_iter().chain([(key("c"), c), (key("d"), d)]))
        };
        let of_chain = |c, d| ThawState::of(&wanted, &states(c, d), 14, day(10));

        let some = of_chain(InProgress, Archived);
        assert_eq!((some.ready, some.total, some.under_way.len()), (2, 4, 1));
        assert_eq!((some.ready_bytes, some.total_bytes), (11, 1111));
        assert_eq!((&*some.to_request, &*some.to_extend), (&[key("d")][..], &[key("b")][..]));
        assert!(!some.is_ready());
        assert_eq!(some.to_string(), "2 of 4 chunks are readable (11 B of 1.1 KiB)");

        let all = of_chain(NotArchived, Ready { expires_at: day(30) });
        assert!(all.is_ready());
        assert_eq!(all.expires_at, Some(day(12)));
        let unknown = ThawState::of(&wanted, &BTreeMap::new(), 14, day(10));
        assert_eq!(unknown.to_request.len(), 4, "an object of unknown state is requested");
    }

    #[test]
    fn documents_count_only_while_they_are_archived() {
        let key = |name: &str| Key::parse(name).unwrap();
        let wanted = RequiredObjects {
            chunks: BTreeMap::from([(key("chunk"), 1 << 20)]),
            documents: [key("manifest"), key("parts")].into(),
        };
        let of = |parts| {
            let states = [("chunk", NotArchived), ("manifest", NotArchived), ("parts", parts)];
            let states = states.map(|(name, state)| (key(name), state)).into();
            ThawState::of(&wanted, &states, 14, day(10))
        };

        let none = of(NotArchived);
        assert!(none.is_ready());
        assert_eq!(none.to_string(), "1 of 1 chunk is readable (1.0 MiB of 1.0 MiB)");
        let archived = of(Archived);
        assert_eq!(archived.to_request, [key("parts")]);
        assert_eq!(archived.to_string(), "1 of 2 objects are readable (1.0 MiB of 1.0 MiB)");
        assert!(of(Ready { expires_at: day(30) }).is_ready());
    }
}
