//! Remembers the last report of each subvolume, in a file beside `global.state_path`. Nothing is decided by
//! it: it is only sent again.

use std::path::Path;

use s3up_core::wire::{BackupCheck, SubvolumeReport};
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::SubvolumeName;
use s3up_repository::state_file::{Format, StateFile};

/// Ten thousand subvolumes, each with a few errors.
const FORMAT: Format = Format { version: Some(1), bytes_max: 64 << 20 };

#[derive(Debug)]
pub struct KnownReports(StateFile<SubvolumeReport>);

/// A command that checks the backups of a subvolume about the backups of a subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    Drill,
    Verify,
}

impl KnownReports {
    /// Opens the file. Never fails: if the file is unusable, it is treated as empty and a warning says why.
    pub fn open(state_path: &Path, location: RepositoryLocation) -> KnownReports {
        let path = state_path.with_extension("report.json");
        KnownReports(StateFile::open_or_warn(path, location, FORMAT))
    }

    pub fn get(&self, subvolume: &SubvolumeName) -> Option<&SubvolumeReport> {
        self.0.get(subvolume)
    }

    /// Returns the last drill or verify of a subvolume.
    pub fn last_check(&self, subvolume: &SubvolumeName, kind: CheckKind) -> Option<&BackupCheck> {
        let known = self.get(subvolume)?;
        match kind {
            CheckKind::Drill => known.last_drill.as_ref(),
            CheckKind::Verify => known.last_verify.as_ref(),
        }
    }

    /// Remembers a drill or a verify.
    pub fn note_check(&mut self, subvolume: &SubvolumeName, kind: CheckKind, check: BackupCheck) {
        let mut known = self.get(subvolume).cloned().unwrap_or_default();
        known.name = subvolume.to_string();
        match kind {
            CheckKind::Drill => known.last_drill = Some(check),
            CheckKind::Verify => known.last_verify = Some(check),
        }
        self.note([(subvolume.clone(), known)]);
    }

    /// Remembers reports, and writes the file once. A failure is only a warning.
    pub fn note(&mut self, reports: impl IntoIterator<Item = (SubvolumeName, SubvolumeReport)>) {
        if let Err(err) = self.0.set_all(reports) {
            let path = self.0.path().display();
            tracing::warn!(
                event = "backup_report_not_kept",
                %path,
                "{err}; check `global.state_path`"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::subvolume::checked;
    use super::*;

    #[test]
    fn a_check_is_remembered_beside_the_facts() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("new/state.json");
        let (endpoint, bucket, prefix) = (None, "backups".to_owned(), "a/".to_owned());
        let location = RepositoryLocation { endpoint, bucket, prefix };
        let open = || KnownReports::open(&state, location.clone());
        let data = SubvolumeName::parse("data").unwrap();
        let chain_length = Some(3);
        let facts = SubvolumeReport { chain_length, ..SubvolumeReport::default() };
        open().note([(data.clone(), facts)]);
        let check = checked(None, Err("rot"), false, Timestamp::UNIX_EPOCH);

        open().note_check(&data, CheckKind::Drill, check.clone());

        let known = open();
        assert_eq!(known.last_check(&data, CheckKind::Drill), Some(&check));
        assert_eq!(known.last_check(&data, CheckKind::Verify), None);
        assert_eq!(known.get(&data).unwrap().chain_length, Some(3));
        let path = state.with_extension("report.json");
        std::fs::write(&path, "{").unwrap();
        assert_eq!(open().get(&data), None);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let mut known = open();
        known.note_check(&data, CheckKind::Verify, check.clone());
        assert_eq!(known.last_check(&data, CheckKind::Verify), Some(&check), "a failed write");
    }
}
