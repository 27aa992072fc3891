//! Records the last good drill of each subvolume, in a file beside `global.state_path`.
//!
//! Only `status` reads it. It is not the state file itself, because a backup that runs at the same
//! time replaces that one.

use std::path::Path;

use jiff::Timestamp;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::SubvolumeName;
use s3up_repository::state_file::{Format, StateFile};
use serde::{Deserialize, Serialize};

use crate::drill::DrillResult;

/// A hundred thousand subvolumes.
const FORMAT: Format = Format { version: None, bytes_max: 256 << 20 };

/// The last good drill of a subvolume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastDrill {
    pub drilled_at: Timestamp,
    pub manifest: String,
    /// `full`, `sample` or `stream`.
    pub extent: String,
    /// The description of the proof.
    pub proven: String,
    pub total_bytes: u64,
    pub elapsed_seconds: f64,
}

#[derive(Debug)]
pub struct Drills(StateFile<LastDrill>);

impl LastDrill {
    pub fn of(drilled: &DrillResult, drilled_at: Timestamp) -> LastDrill {
        LastDrill {
            drilled_at,
            manifest: drilled.manifest.clone(),
            extent: drilled.proof.as_str().to_owned(),
            proven: drilled.proof.to_string(),
            total_bytes: drilled.total_bytes,
            elapsed_seconds: drilled.elapsed.as_secs_f64(),
        }
    }
}

impl Drills {
    /// Opens the file. Never fails: if the file is unusable, it is treated as empty and
    /// a warning says why.
    pub fn open(state_path: &Path, location: RepositoryLocation) -> Drills {
        let path = state_path.with_extension("drill.json");
        Drills(StateFile::open_or_warn(path, location, FORMAT))
    }

    pub fn last(&self, subvolume: &SubvolumeName) -> Option<&LastDrill> {
        self.0.get(subvolume)
    }

    /// Records a drill on disk. A failure is only a warning.
    pub fn note(&mut self, subvolume: &SubvolumeName, drill: LastDrill) {
        if let Err(err) = self.0.set(subvolume, drill) {
            let path = self.0.path().display();
            tracing::warn!(event = "drill_not_recorded", %path, "{err}; check `global.state_path`");
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

    #[test]
    fn a_good_drill_is_recorded_and_an_unusable_file_counts_as_empty() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("new/state.json");
        let data = SubvolumeName::parse("data").unwrap();
        let drill = LastDrill {
            drilled_at: Timestamp::UNIX_EPOCH,
            manifest: "m".to_owned(),
            extent: "full".to_owned(),
            proven: "every byte".to_owned(),
            total_bytes: 7,
            elapsed_seconds: 1.5,
        };
        let open = |prefix| Drills::open(&state, location(prefix));
        assert_eq!(open("a/").last(&data), None);

        open("a/").note(&data, drill.clone());

        assert_eq!(open("a/").last(&data), Some(&drill));
        assert_eq!(open("b/").last(&data), None);
        let path = state.with_extension("drill.json");
        fs::write(&path, "{").unwrap();
        assert_eq!(open("a/").last(&data), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let mut drills = open("a/");
        drills.note(&data, drill.clone());
        assert_eq!(drills.last(&data), Some(&drill), "a failed write is not an error");
    }
}
