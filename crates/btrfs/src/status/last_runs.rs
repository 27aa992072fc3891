//! Remembers the last run of each subvolume, in one file (`global.state_path`).
//!
//! The file is only a cache for `status`: what is due is decided from the bucket and
//! the disk. A file that is missing, damaged, of another version or of another
//! repository is replaced, with a line in the log. A failed write is a warning.

use std::path::Path;

use jiff::Timestamp;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::SubvolumeName;
use s3up_repository::state_file::{Format, StateFile, UnusableStateFile};
use serde::{Deserialize, Serialize};

/// Enough for ten thousand subvolumes with long errors.
const FORMAT: Format = Format { version: Some(1), bytes_max: 16 << 20 };

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
pub struct LastRuns(StateFile<LastRun>);

impl LastRuns {
    /// Opens the file. Never fails: if the file is unusable, the memory is empty and a
    /// warning says why.
    pub fn open(path: &Path, location: RepositoryLocation) -> LastRuns {
        let (file, unusable) = StateFile::open(path.to_owned(), location, FORMAT);
        let path = path.display();
        match unusable {
            None => {}
            Some(err @ UnusableStateFile::Missing) => {
                tracing::info!(event = "state_file_missing", %path, "{err}");
            }
            Some(
                err @ (UnusableStateFile::Io(_)
                | UnusableStateFile::TooLong(_)
                | UnusableStateFile::Json(_)
                | UnusableStateFile::Version { .. }
                | UnusableStateFile::OtherLocation),
            ) => {
                tracing::warn!(event = "state_file_ignored", %path, "{err}; starting with an empty state file")
            }
        }
        LastRuns(file)
    }

    pub fn last_run(&self, subvolume: &SubvolumeName) -> Option<&LastRun> {
        self.0.get(subvolume)
    }

    /// Remembers a run, and writes the file.
    pub fn note(&mut self, subvolume: &SubvolumeName, run: LastRun) {
        let run = match self.0.get(subvolume) {
            Some(last) => run.after(last.clone()),
            None => run,
        };
        if let Err(err) = self.0.set(subvolume, run) {
            let path = self.0.path().display();
            tracing::warn!(
                event = "state_file_not_written",
                %path,
                "write the state file: {err}; check `global.state_path`"
            );
        }
    }
}

impl LastRun {
    pub fn succeeded(outcome: RunStatus, ran_at: Timestamp, next_due_at: Timestamp) -> LastRun {
        LastRun { ran_at, outcome, error: None, next_due_at }
    }

    /// Returns a failed run, which is due again at once.
    pub fn failed(error: String, now: Timestamp) -> LastRun {
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
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Published => "published",
            RunStatus::NotDue => "not due",
            RunStatus::Failed => "failed",
            RunStatus::Stopped => "stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn location(prefix: &str) -> RepositoryLocation {
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
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/state.json");
        let open = || LastRuns::open(&path, location("a/"));
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
        assert!(!directory.path().join("new/state.json.new").exists());
    }

    #[test]
    fn an_unusable_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let mut state = LastRuns::open(&path, location("a/"));
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
            let mut state = LastRuns::open(&path, location("a/"));
            assert_eq!(state.last_run(&data()), None, "{bad}");
            state.note(&data(), run(RunStatus::Published, 1));
            assert_eq!(fs::read_to_string(&path).unwrap(), good, "{bad}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let mut state = LastRuns::open(&path, location("a/"));
        state.note(&data(), run(RunStatus::Published, 1));
        assert!(state.last_run(&data()).is_some(), "a failed write is no error");
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_a_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("state.json");
            fs::write(&path, bytes).unwrap();
            LastRuns::open(&path, location("a/"));
        }
    }
}
