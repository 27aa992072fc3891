//! Lists the chunks that have to be thawed before a restore, and how long that takes. Pure.

use std::collections::BTreeMap;

use s3up_core::storage_class::{HourRange, StorageClass, ThawTimes};
use s3up_store::ArchiveState;

/// The archived chunks of one storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedChunks {
    pub storage_class: String,
    /// Chunks without a thaw request; each needs one.
    pub requests: usize,
    /// Chunks whose thaw is in progress.
    pub in_progress: usize,
    /// Bytes of both.
    pub bytes: u64,
    /// Bytes of the chunks without a request.
    pub request_bytes: u64,
    pub standard_hours: HourRange,
    pub bulk_hours: HourRange,
}

/// Groups the chunks that cannot be read now by storage class.
pub fn archived_chunks<'a>(
    chunks: impl IntoIterator<Item = (&'a str, u64, ArchiveState)>,
) -> Vec<ArchivedChunks> {
    let mut by_class: BTreeMap<&str, ArchivedChunks> = BTreeMap::new();
    for (class, bytes, state) in chunks {
        let (requests, in_progress) = match state {
            ArchiveState::NotArchived | ArchiveState::Ready { .. } => continue,
            ArchiveState::Archived => (1, 0),
            ArchiveState::InProgress => (0, 1),
        };
        let archived = by_class.entry(class).or_insert_with(|| ArchivedChunks::of(class));
        archived.requests += requests;
        archived.in_progress += in_progress;
        archived.bytes = archived.bytes.saturating_add(bytes);
        let to_request = if requests > 0 { bytes } else { 0 };
        archived.request_bytes = archived.request_bytes.saturating_add(to_request);
    }
    by_class.into_values().collect()
}

impl ArchivedChunks {
    fn of(class: &str) -> ArchivedChunks {
        let known = StorageClass::find(class).and_then(|class| class.thaw);
        let times = known.unwrap_or_else(ThawTimes::of_any_archive);
        ArchivedChunks {
            storage_class: class.to_owned(),
            requests: 0,
            in_progress: 0,
            bytes: 0,
            request_bytes: 0,
            standard_hours: times.standard,
            bulk_hours: times.bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_chunks_that_cannot_be_read_are_counted() {
        use ArchiveState::{Archived, InProgress, NotArchived, Ready};
        let ready = Ready { expires_at: SystemTime::UNIX_EPOCH };
        let chunks = [
            ("STANDARD", 1, NotArchived),
            ("GLACIER_IR", 2, NotArchived),
            ("DEEP_ARCHIVE", 10, Archived),
            ("DEEP_ARCHIVE", 20, InProgress),
            ("DEEP_ARCHIVE", 40, ready),
            ("GLACIER", 100, Archived),
            ("GLACIER", 200, Archived),
        ];

        let found = archived_chunks(chunks);

        let lines: Vec<_> = found
            .iter()
            .map(|archived| {
                let ArchivedChunks { storage_class, requests, in_progress, bytes, .. } = archived;
                let hours = format!("{}, {}", archived.standard_hours, archived.bulk_hours);
                let bytes = (*bytes, archived.request_bytes);
                (storage_class.as_str(), *requests, *in_progress, bytes, hours)
            })
            .collect();
        assert_eq!(
            lines,
            [
                ("DEEP_ARCHIVE", 1, 1, (30, 10), "12 h, 48 h".to_owned()),
                ("GLACIER", 2, 0, (300, 300), "3-5 h, 5-12 h".to_owned()),
            ]
        );
        assert_eq!(archived_chunks([]), []);
        let tiers = archived_chunks([("INTELLIGENT_TIERING", 1, Archived)]);
        assert_eq!(tiers[0].standard_hours.to_string(), "3-12 h");
    }
}
