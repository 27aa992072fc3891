//! Records the last `verify` of each subvolume, in a file beside `global.state_path`.
//!
//! Only `status` and `list` read it, and a backup that it does not name is *unknown*.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use s3up_core::Key;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::SubvolumeName;
use s3up_repository::state_file::{Format, StateFile};
use s3up_repository::verify::{Depth, VerifyReport};
use serde::{Deserialize, Serialize};

/// A million manifests.
const FORMAT: Format = Format { version: None, bytes_max: 256 << 20 };

/// The last `verify` of a subvolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastVerified {
    pub verified_at: Timestamp,
    /// True if every byte was read.
    pub deep: bool,
    /// Keys of the manifests without findings.
    pub sound: BTreeSet<String>,
}

#[derive(Debug)]
pub struct LastVerifies(StateFile<LastVerified>);

impl LastVerified {
    pub fn of(verified: &VerifyReport, depth: Depth, verified_at: Timestamp) -> LastVerified {
        let sound = verified.sound.iter().map(|key| key.as_str().to_owned()).collect();
        LastVerified { verified_at, deep: depth != Depth::Reported, sound }
    }
}

impl LastVerifies {
    /// Opens the file. Never fails: if the file is unusable, it is treated as empty and
    /// a warning says why.
    pub fn open(state_path: &Path, location: RepositoryLocation) -> LastVerifies {
        let path = state_path.with_extension("verify.json");
        LastVerifies(StateFile::open_or_warn(path, location, FORMAT))
    }

    /// Returns when a backup was last found sound; `None` if that is unknown.
    pub fn of(&self, subvolume: &SubvolumeName, manifest: &Key) -> Option<Timestamp> {
        let last = self.0.get(subvolume)?;
        last.sound.contains(manifest.as_str()).then_some(last.verified_at)
    }

    /// Records a verify on disk. A failure is only logged: without root it is usual.
    pub fn note(&mut self, subvolume: &SubvolumeName, verified: LastVerified) {
        if let Err(err) = self.0.set(subvolume, verified) {
            let path = self.0.path().display();
            tracing::info!(event = "verify_not_recorded", %path, "{err}; check `global.state_path`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_was_not_found_sound_is_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.json");
        let location = RepositoryLocation {
            endpoint: None,
            bucket: "backups".to_owned(),
            prefix: "a/".to_owned(),
        };
        let open = || LastVerifies::open(&state, location.clone());
        let (data, key) = (SubvolumeName::parse("data").unwrap(), Key::parse("m0").unwrap());
        assert_eq!(open().of(&data, &key), None);
        let verified_at = Timestamp::from_second(7).unwrap();
        let sound = BTreeSet::from(["m0".to_owned()]);

        open().note(&data, LastVerified { verified_at, deep: false, sound });

        assert_eq!(open().of(&data, &key), Some(verified_at));
        assert_eq!(open().of(&data, &Key::parse("m1").unwrap()), None);
    }
}
