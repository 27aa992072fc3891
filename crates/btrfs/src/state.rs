//! Remembers the last run of each subvolume, in one file (`global.state_path`).
//!
//! The file is only a cache for `status`: what is due is decided from the bucket and
//! the disk. A file that is missing, damaged, of another version or of another
//! repository is replaced, with a line in the log. A failed write is a warning.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::home::RepositoryLocation;
use crate::replace::replace;
use crate::snapshot::SubvolumeName;

const VERSION: u64 = 1;
/// Enough for ten thousand subvolumes with long errors.
const FILE_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Published,
    /// Nothing was due, and no other run is remembered.
    NotDue,
    Failed,
    Stopped,
}

/// The last run of one subvolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub ran_at: Timestamp,
    pub outcome: RunStatus,
    pub error: Option<String>,
    pub next_due_at: Timestamp,
}

#[derive(Debug)]
pub struct LastRuns {
    path: PathBuf,
    home: RepositoryLocation,
    runs: BTreeMap<String, LastRun>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u64,
    #[serde(flatten)]
    home: RepositoryLocation,
    subvolumes: BTreeMap<String, LastRun>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the file does not exist yet")]
    Missing,
    #[error("the file cannot be read: {0}")]
    Io(#[source] io::Error),
    #[error("the file is longer than {FILE_BYTES_MAX} bytes, the limit")]
    TooLong,
    #[error("the file is damaged: {0}")]
    Json(#[from] serde_json::Error),
    #[error("expected version {VERSION}, found {0}")]
    Version(u64),
    #[error("the file belongs to another bucket or prefix")]
    RepositoryLocation,
}

impl LastRuns {
    /// Opens the file. Never fails: if the file is unusable, the memory is empty and a
    /// warning says why.
    pub fn open(path: &Path, home: RepositoryLocation) -> LastRuns {
        let runs = read(path, &home).unwrap_or_else(|err| {
            let path = path.display();
            if matches!(err, Unusable::Missing) {
                tracing::info!(event = "state_file_missing", %path, "{err}");
            } else {
                tracing::warn!(
                    event = "state_file_ignored",
                    %path,
                    "{err}; starting with an empty state file"
                );
            }
            BTreeMap::new()
        });
        LastRuns { path: path.to_owned(), home, runs }
    }

    pub fn last_run(&self, subvolume: &SubvolumeName) -> Option<&LastRun> {
        self.runs.get(subvolume.as_str())
    }

    /// Remembers a run, and writes the file.
    pub fn note(&mut self, subvolume: &SubvolumeName, run: LastRun) {
        let run = match self.runs.remove(subvolume.as_str()) {
            Some(last) => run.after(last),
            None => run,
        };
        self.runs.insert(subvolume.as_str().to_owned(), run);
        if let Err(err) = self.write() {
            let path = self.path.display();
            tracing::warn!(
                event = "state_file_not_written",
                %path,
                "write the state file: {err}; check `global.state_path`"
            );
        }
    }

    fn write(&self) -> io::Result<()> {
        let (home, subvolumes) = (self.home.clone(), self.runs.clone());
        let document = Document { version: VERSION, home, subvolumes };
        let json = serde_json::to_vec_pretty(&document).expect("plain data is always JSON");
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        replace(&self.path, &json)
    }
}

impl LastRun {
    /// Returns a failed run, which is due again at once.
    pub fn failed(error: String) -> LastRun {
        let now = Timestamp::now();
        LastRun { ran_at: now, outcome: RunStatus::Failed, error: Some(error), next_due_at: now }
    }

    /// Returns the run to remember. A run in which nothing was due does not hide how
    /// the run before it ended.
    fn after(self, last: LastRun) -> LastRun {
        match self.outcome {
            RunStatus::NotDue => LastRun { next_due_at: self.next_due_at, ..last },
            RunStatus::Published | RunStatus::Failed | RunStatus::Stopped => self,
        }
    }
}

impl RunStatus {
    pub fn word(self) -> &'static str {
        match self {
            RunStatus::Published => "published",
            RunStatus::NotDue => "not due",
            RunStatus::Failed => "failed",
            RunStatus::Stopped => "stopped",
        }
    }
}

fn read(path: &Path, home: &RepositoryLocation) -> Result<BTreeMap<String, LastRun>, Unusable> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|err| {
        let is_missing = err.kind() == io::ErrorKind::NotFound;
        if is_missing { Unusable::Missing } else { Unusable::Io(err) }
    })?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(Unusable::Io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Unusable::TooLong);
    }
    let VersionOnly { version } = serde_json::from_slice(&bytes)?;
    if version != VERSION {
        return Err(Unusable::Version(version));
    }
    let document: Document = serde_json::from_slice(&bytes)?;
    if document.home != *home {
        return Err(Unusable::RepositoryLocation);
    }
    Ok(document.subvolumes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(prefix: &str) -> RepositoryLocation {
        RepositoryLocation {
            endpoint: None,
            bucket: "backups".to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    fn run(outcome: RunStatus, second: i64) -> LastRun {
        let at = |second| Timestamp::from_second(second).unwrap();
        let error = (outcome == RunStatus::Failed).then(|| "no space".to_owned());
        LastRun { ran_at: at(second), outcome, error, next_due_at: at(second + 100) }
    }

    fn data() -> SubvolumeName {
        SubvolumeName::parse("data").unwrap()
    }

    #[test]
    fn a_run_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/state.json");
        let open = || LastRuns::open(&path, home("a/"));
        assert_eq!(open().last_run(&data()), None);

        open().note(&data(), run(RunStatus::Failed, 1));

        assert_eq!(open().last_run(&data()), Some(&run(RunStatus::Failed, 1)));
        open().note(&data(), run(RunStatus::NotDue, 2));
        let shown = open();
        let last = shown.last_run(&data()).unwrap();
        assert_eq!((last.outcome, last.ran_at.as_second()), (RunStatus::Failed, 1));
        assert_eq!(last.next_due_at.as_second(), 102);
        open().note(&data(), run(RunStatus::Published, 3));
        assert_eq!(open().last_run(&data()), Some(&run(RunStatus::Published, 3)));
        assert!(!folder.path().join("new/state.json.new").exists());
    }

    #[test]
    fn an_unusable_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut state = LastRuns::open(&path, home("a/"));
        state.note(&data(), run(RunStatus::Published, 1));
        let good = fs::read_to_string(&path).unwrap();
        for bad in [
            String::new(),
            good[..good.len() / 2].to_owned(),
            good.replace("\"version\": 1", "\"version\": 2"),
            good.replace("\"version\": 1", "\"version\": \"1\""),
            good.replace("published", "unheard of"),
            good.replace("a/", "b/"),
            "[]".to_owned(),
        ] {
            fs::write(&path, &bad).unwrap();
            let mut state = LastRuns::open(&path, home("a/"));
            assert_eq!(state.last_run(&data()), None, "{bad}");
            state.note(&data(), run(RunStatus::Published, 1));
            assert_eq!(fs::read_to_string(&path).unwrap(), good, "{bad}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let mut state = LastRuns::open(&path, home("a/"));
        state.note(&data(), run(RunStatus::Published, 1));
        assert!(state.last_run(&data()).is_some(), "a failed write is no error");
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_a_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.json");
            fs::write(&path, bytes).unwrap();
            LastRuns::open(&path, home("a/"));
        }
    }
}
