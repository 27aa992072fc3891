//! Finds the files as they were at a time, among versions in the order of a listing.
//!
//! The version of a file at a time is its newest one that was stored by then. A file whose newest
//! event by then is a deletion did not exist. S3 has times in whole seconds: a version and a deletion
//! in the same second count as a version, because a file too many does no harm.
//!
//! Pure; it keeps one version, however many a file has.

use jiff::Timestamp;
use s3up_core::wire::ListedVersion;

use super::remote_file::{self, InvalidEntry, RemoteFile};

/// Takes versions one after the other, and returns each file once all of its versions were seen.
#[derive(Debug)]
pub struct FilesAt {
    at: Timestamp,
    current: Option<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    path: String,
    /// `None` while no version is old enough.
    newest: Option<(Timestamp, ListedVersion)>,
}

impl FilesAt {
    pub fn new(at: Timestamp) -> FilesAt {
        FilesAt { at, current: None }
    }

    /// Adds the next version of the listing. Returns the file before it, if that one is complete and
    /// existed at the time.
    pub fn add(&mut self, version: ListedVersion) -> Result<Option<RemoteFile>, InvalidEntry> {
        let stored_at = remote_file::time(&version.path, &version.uploaded_at)?;
        let is_next = self.current.as_ref().is_none_or(|current| current.path != version.path);
        let finished = if is_next {
            let next = Candidate { path: version.path.clone(), newest: None };
            self.current.replace(next).map(Candidate::finish).transpose()?.flatten()
        } else {
            None
        };
        if let Some(current) = &mut self.current
            && stored_at <= self.at
        {
            current.consider(stored_at, version);
        }
        Ok(finished)
    }

    /// Returns the last file, if it existed at the time.
    pub fn finish(&mut self) -> Result<Option<RemoteFile>, InvalidEntry> {
        self.current.take().map(Candidate::finish).transpose().map(Option::flatten)
    }
}

impl Candidate {
    fn consider(&mut self, stored_at: Timestamp, version: ListedVersion) {
        let rank = |at: Timestamp, it: &ListedVersion| {
            (at, it.is_latest && !it.is_deleted, !it.is_deleted)
        };
        let is_newer = self
            .newest
            .as_ref()
            .is_none_or(|(at, newest)| rank(stored_at, &version) > rank(*at, newest));
        if is_newer {
            self.newest = Some((stored_at, version));
        }
    }

    fn finish(self) -> Result<Option<RemoteFile>, InvalidEntry> {
        let Some((uploaded_at, version)) = self.newest else { return Ok(None) };
        if version.is_deleted {
            return Ok(None);
        }
        Ok(Some(RemoteFile {
            path: remote_file::path(&version.path)?,
            size: version.size,
            uploaded_at,
            sha256: None,
            mtime_ns: None,
            mode: None,
            storage_class: version.storage_class,
            version_id: Some(version.version_id),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_newest_version_that_was_stored_by_then() {
        // Versions as path, version, second, kind; the newest first.
        let history = [
            ("changed", "c3", 30, 'v'),
            ("changed", "c2", 20, 'v'),
            ("changed", "c1", 10, 'v'),
            ("deleted", "d2", 20, 'd'),
            ("deleted", "d1", 10, 'v'),
            ("returned", "r3", 30, 'v'),
            ("returned", "r2", 20, 'd'),
            ("returned", "r1", 10, 'v'),
            ("same-second", "s1", 20, 'v'),
            ("same-second", "s2", 20, 'd'),
            ("young", "y1", 30, 'v'),
        ];
        #[rustfmt::skip]
        let cases = [
            // time  files
            (9,      vec![]),
            (10,     vec!["c1", "d1", "r1"]),
            (19,     vec!["c1", "d1", "r1"]),
            (20,     vec!["c2", "s1"]),
            (29,     vec!["c2", "s1"]),
            (30,     vec!["c3", "r3", "s1", "y1"]),
        ];
        for (at, want) in cases {
            let mut files = FilesAt::new(second(at));
            let mut found = Vec::new();
            for (path, id, stored_at, kind) in history {
                found.extend(files.add(version(path, id, stored_at, kind)).unwrap());
            }
            found.extend(files.finish().unwrap());
            let found: Vec<_> = found.into_iter().filter_map(|file| file.version_id).collect();
            assert_eq!(found, want, "at {at}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_parsed_is_an_error_and_not_a_missing_file() {
        let mut files = FilesAt::new(second(9));
        let mut wrong = version("a", "v", 1, 'v');
        wrong.uploaded_at = "soon".to_owned();
        assert_eq!(
            files.add(wrong).unwrap_err().to_string(),
            "\"a\": expected a time in RFC 3339, found \"soon\""
        );
        files.add(version("../a", "v", 1, 'v')).unwrap();
        assert!(matches!(files.finish(), Err(InvalidEntry::Path { .. })));
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn version(path: &str, id: &str, stored_at: i64, kind: char) -> ListedVersion {
        ListedVersion {
            path: path.to_owned(),
            version_id: id.to_owned(),
            size: 1,
            uploaded_at: second(stored_at).to_string(),
            is_latest: false,
            is_deleted: kind == 'd',
            storage_class: None,
        }
    }
}
