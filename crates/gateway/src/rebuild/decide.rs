//! Decides what a rebuild does with the row of one file. Pure.

use s3up_store::{Listed, ObjectFacts};

use crate::database::rebuild::rows::{CatalogueRow, RowChange};
use crate::database::record::CatalogueEntry;
use crate::uploads::metadata::{stored_mode, stored_mtime_ns};

/// Returns true if a listed file is not the one of its row. Equal ETags mean equal content.
pub(super) fn needs_head(listed: &Listed, row: Option<&CatalogueRow>) -> bool {
    row.is_none_or(|row| row.size != listed.size || row.etag != listed.etag)
}

/// Returns the change that a row needs, if any. `found`: the answer of S3, after the row was read.
pub(super) fn change(row: Option<&CatalogueRow>, found: Option<&ObjectFacts>) -> Option<RowChange> {
    match (row, found) {
        // It was deleted since it was listed.
        (None, None) => None,
        (None, Some(found)) => Some(RowChange::Insert(entry(found))),
        // A row of this version may have a SHA-256 that S3 does not.
        (Some(row), Some(found)) if describes(row, found) => None,
        (Some(row), Some(found)) => {
            Some(RowChange::Update { before: row.clone(), entry: entry(found) })
        }
        (Some(row), None) => Some(RowChange::Remove { before: row.clone() }),
    }
}

fn describes(row: &CatalogueRow, found: &ObjectFacts) -> bool {
    row.size == found.size && row.etag == found.etag && row.version_id == found.version_id
}

fn entry(found: &ObjectFacts) -> CatalogueEntry {
    CatalogueEntry {
        size: found.size,
        sha256: found.sha256,
        mtime_ns: stored_mtime_ns(&found.metadata),
        mode: stored_mode(&found.metadata),
        etag: found.etag.clone(),
        version_id: found.version_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_a_file_that_differs_from_its_row_is_asked_about() {
        #[rustfmt::skip]
        let cases = [
            // row                        asked
            (None,                        true),
            (Some(row(5, "e1", "v1")),    false),
            (Some(row(5, "e1", "v2")),    false),
            (Some(row(6, "e1", "v1")),    true),
            (Some(row(5, "e2", "v1")),    true),
        ];
        let listed = Listed {
            key: "sites/web/a".to_owned(),
            size: 5,
            etag: "e1".to_owned(),
            modified_at: SystemTime::UNIX_EPOCH,
            storage_class: None,
        };
        for (row, want) in cases {
            assert_eq!(needs_head(&listed, row.as_ref()), want, "{row:?}");
        }
    }

    #[test]
    fn a_row_follows_what_s3_has() {
        let known = || row(5, "e1", "v1");
        let new = || entry(&facts(7, "e2", "v2"));
        #[rustfmt::skip]
        let cases = [
            // row            S3                          change
            (None,            None,                       None),
            (None,            Some(facts(7, "e2", "v2")), Some(RowChange::Insert(new()))),
            (Some(known()),   Some(facts(5, "e1", "v1")), None),
            (Some(known()),   Some(facts(7, "e2", "v2")), Some(RowChange::Update { before: known(), entry: new() })),
            (Some(known()),   Some(facts(5, "e1", "v2")), Some(RowChange::Update { before: known(), entry: entry(&facts(5, "e1", "v2")) })),
            (Some(known()),   None,                       Some(RowChange::Remove { before: known() })),
        ];
        for (row, found, want) in cases {
            assert_eq!(change(row.as_ref(), found.as_ref()), want, "{row:?} {found:?}");
        }
        assert_eq!((new().mtime_ns, new().mode, new().sha256), (Some(-5), Some(0o640), None));
    }

    fn row(size: u64, etag: &str, version_id: &str) -> CatalogueRow {
        CatalogueRow {
            size,
            etag: etag.to_owned(),
            version_id: Some(version_id.to_owned()),
            uploaded_at: 1,
        }
    }

    fn facts(size: u64, etag: &str, version_id: &str) -> ObjectFacts {
        let metadata = [("mtime-ns", "-5"), ("mode", "0640")];
        let metadata: BTreeMap<_, _> =
            metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        ObjectFacts {
            size,
            etag: etag.to_owned(),
            version_id: Some(version_id.to_owned()),
            content_type: None,
            modified_at: SystemTime::UNIX_EPOCH,
            metadata,
            sha256: None,
            crc64nvme: None,
            storage_class: None,
            sse: None,
        }
    }
}
