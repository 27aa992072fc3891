//! Snapshot records: what this host knows about each snapshot that it made. A record is
//! a small file beside the snapshots, written before the snapshot is made and removed
//! after it is deleted.
//!
//! A record says for which repository the snapshot was made, by which run, and whether
//! that run published it. So the cleanup after a killed run is exact: nothing is taken
//! for a leftover because of its name or age, and two configurations that share a
//! directory leave each other alone. A snapshot without a record is never deleted. If
//! the records are lost, backups continue and nothing is cleaned up.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use s3up_repository::atomic_write::{write_atomically, write_new};
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::{SnapshotName, SubvolumeName};
use serde::{Deserialize, Serialize};

const DIR_NAME: &str = ".btrfs-to-s3";

/// User metadata of all objects that a run stores. A cleanup deletes only objects that
/// carry the run of a record.
pub const RUN_METADATA: &str = "run";

/// Identifies one run of the program. No two are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

/// Progress of the backup of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotState {
    Begun,
    Published,
    /// Made without S3, to stay on this host.
    Local,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    #[serde(flatten)]
    location: RepositoryLocation,
    pub run: RunId,
    pub state: SnapshotState,
}

/// The records of one repository in one snapshot directory.
#[derive(Clone, Debug)]
pub struct Records {
    directory: PathBuf,
    location: RepositoryLocation,
}

#[derive(Debug, thiserror::Error)]
#[error("{doing} {what} in {directory:?}")]
pub struct RecordError {
    doing: &'static str,
    what: String,
    directory: PathBuf,
    source: io::Error,
}

impl RunId {
    pub fn random() -> Result<RunId, getrandom::Error> {
        let (high, low) = (getrandom::u64()?, getrandom::u64()?);
        Ok(RunId(format!("{high:016x}{low:016x}")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Records {
    pub fn new(base_dir: &Path, location: RepositoryLocation) -> Records {
        Records { directory: base_dir.join(DIR_NAME), location }
    }

    /// Returns the path of the journal of a backup. It is removed with its record, or
    /// once the backup is published.
    pub fn journal(&self, snapshot: &SnapshotName) -> PathBuf {
        self.directory.join(format!("{snapshot}.journal"))
    }

    /// Writes a record durably: it survives a power cut.
    pub fn write(
        &self,
        snapshot: &SnapshotName,
        run: &RunId,
        state: SnapshotState,
    ) -> Result<(), RecordError> {
        let record = SnapshotRecord { location: self.location.clone(), run: run.clone(), state };
        let journal = match state {
            SnapshotState::Begun => Ok(()),
            // Removed first: no later run looks for the journal of a finished backup.
            SnapshotState::Published | SnapshotState::Local => remove(&self.journal(snapshot)),
        };
        let written = journal
            .and_then(|()| fs::create_dir_all(&self.directory))
            .and_then(|()| write_atomically(&self.path(snapshot), &to_json(&record)));
        written.map_err(|source| self.error("write", record_of(snapshot), source))
    }

    /// Creates the record of a new snapshot durably. Returns `false` if there is a record
    /// of that name, of this or of another configuration.
    pub fn create(
        &self,
        snapshot: &SnapshotName,
        run: &RunId,
        state: SnapshotState,
    ) -> Result<bool, RecordError> {
        let record = SnapshotRecord { location: self.location.clone(), run: run.clone(), state };
        let created = fs::create_dir_all(&self.directory)
            .and_then(|()| write_new(&self.path(snapshot), &to_json(&record)));
        match created {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(self.error("create", record_of(snapshot), source)),
            Ok(()) => Ok(true),
        }
    }

    /// Removes a record and its journal. A missing one is no error.
    pub fn forget(&self, snapshot: &SnapshotName) -> Result<(), RecordError> {
        let removed = remove(&self.journal(snapshot)).and_then(|()| remove(&self.path(snapshot)));
        removed.map_err(|source| self.error("remove", record_of(snapshot), source))
    }

    /// Lists the records of this repository, ordered by subvolume and time.
    pub fn list(&self) -> Result<Vec<(SnapshotName, SnapshotRecord)>, RecordError> {
        let fail = |source| self.error("list", "the snapshot records".to_owned(), source);
        let entries = match fs::read_dir(&self.directory) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fail)?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.and_then(|name| SnapshotName::parse(name.strip_suffix(".json")?));
            let Some(name) = name else { continue };
            match read(&path) {
                Ok(record) if record.location == self.location => records.push((name, record)),
                Ok(_) => {}
                Err(err) => tracing::warn!(
                    event = "record_unreadable",
                    path = %path.display(),
                    "cannot read this snapshot record, so its snapshot is never deleted: {err}"
                ),
            }
        }
        records.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(records)
    }

    /// Lists the records of one subvolume.
    pub fn of(
        &self,
        subvolume: &SubvolumeName,
    ) -> Result<Vec<(SnapshotName, SnapshotRecord)>, RecordError> {
        let mut records = self.list()?;
        records.retain(|(snapshot, _)| snapshot.subvolume == *subvolume);
        Ok(records)
    }

    fn path(&self, snapshot: &SnapshotName) -> PathBuf {
        self.directory.join(format!("{snapshot}.json"))
    }

    fn error(&self, doing: &'static str, what: String, source: io::Error) -> RecordError {
        RecordError { doing, what, directory: self.directory.clone(), source }
    }
}

fn record_of(snapshot: &SnapshotName) -> String {
    format!("the record of the snapshot {snapshot}")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<SnapshotRecord> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
}

fn to_json(record: &SnapshotRecord) -> Vec<u8> {
    serde_json::to_vec_pretty(record).expect("plain data is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(directory: &Path, prefix: &str) -> Records {
        let location = RepositoryLocation {
            endpoint: None,
            bucket: "backups".to_owned(),
            prefix: prefix.to_owned(),
        };
        Records { directory: directory.join(DIR_NAME), location }
    }

    #[test]
    fn records_of_another_repository_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (records(directory.path(), "a/"), records(directory.path(), "b/"));
        let name = |text| SnapshotName::parse(text).unwrap();
        let (one, two) = (name("x__20260101T000000Z__full"), name("x__20260102T000000Z__inc"));
        let run = RunId::random().unwrap();
        assert_eq!(ours.list().unwrap(), []);
        assert!(ours.create(&one, &run, SnapshotState::Begun).unwrap());
        for records in [&ours, &theirs] {
            assert!(
                !records.create(&one, &run, SnapshotState::Begun).unwrap(),
                "the name is taken"
            );
        }
        ours.write(&two, &run, SnapshotState::Begun).unwrap();
        ours.write(&one, &run, SnapshotState::Begun).unwrap();
        ours.write(&one, &run, SnapshotState::Published).unwrap();
        fs::write(directory.path().join(DIR_NAME).join("x__20260103T000000Z__inc.json"), "{")
            .unwrap();

        let listed: Vec<_> =
            ours.list().unwrap().into_iter().map(|(name, record)| (name, record.state)).collect();

        assert_eq!(
            listed,
            [(one.clone(), SnapshotState::Published), (two.clone(), SnapshotState::Begun)]
        );
        assert_eq!(theirs.list().unwrap(), []);
        ours.forget(&one).unwrap();
        ours.forget(&one).unwrap();
        assert_eq!(ours.list().unwrap().len(), 1);
    }

    #[test]
    fn no_two_runs_have_the_same_id() {
        assert_ne!(RunId::random().unwrap(), RunId::random().unwrap());
    }
}
