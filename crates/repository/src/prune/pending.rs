//! The pending deletions: the keys that a prune is about to delete. They are in a file on the host,
//! written before the first delete and emptied after the last.
//!
//! It is never trusted alone, because the filesystem that it lies on can be rolled back:
//! only objects that no manifest in the bucket names are leftovers. A file that is lost, damaged
//! or of another repository is replaced.

use std::io;
use std::path::{Path, PathBuf};

use s3up_core::Key;

use crate::layout::Layout;
use crate::location::RepositoryLocation;
use crate::names::SubvolumeName;
use crate::state_file::{Format, StateFile};

/// A hundred thousand keys are a tenth of it.
const FORMAT: Format = Format { version: None, bytes_max: 256 << 20 };

/// Keys to delete, by subvolume.
#[derive(Debug)]
pub struct PendingDeletions(StateFile<Vec<String>>);

#[derive(Debug, thiserror::Error)]
#[error("write the list of objects to delete to {path:?}; check that file and its disk")]
pub struct PendingError {
    path: PathBuf,
    source: io::Error,
}

impl PendingDeletions {
    /// Opens the file. Never fails: an unusable one is treated as empty, with a
    /// warning.
    pub fn open(state_path: &Path, location: RepositoryLocation) -> PendingDeletions {
        let path = state_path.with_extension("prune.json");
        PendingDeletions(StateFile::open_or_warn(path, location, FORMAT))
    }

    /// Returns the pending keys that are chunks, part indexes or indexes of this subvolume.
    pub fn keys(&self, subvolume: &SubvolumeName, layout: &Layout) -> Vec<Key> {
        let keys = self.0.get(subvolume).into_iter().flatten();
        let keys = keys.filter_map(|key| Key::parse(key).ok());
        keys.filter(|key| layout.is_stream_object(subvolume, key)).collect()
    }

    pub fn begin<'k>(
        &mut self,
        subvolume: &SubvolumeName,
        keys: impl Iterator<Item = &'k Key>,
    ) -> Result<(), PendingError> {
        let keys = keys.map(|key| key.as_str().to_owned()).collect();
        let written = self.0.set(subvolume, keys);
        written.map_err(|source| self.not_written(source))
    }

    pub fn end(&mut self, subvolume: &SubvolumeName) -> Result<(), PendingError> {
        let written = self.0.remove(subvolume);
        written.map_err(|source| self.not_written(source))
    }

    fn not_written(&self, source: io::Error) -> PendingError {
        PendingError { path: self.0.path().to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::catalogue::tests::{data, layout};

    #[test]
    fn keys_are_remembered_until_they_are_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("deep/state.json");
        let location = |prefix: &str| RepositoryLocation {
            endpoint: None,
            bucket: "backups".to_owned(),
            prefix: prefix.to_owned(),
        };
        let open = |prefix| PendingDeletions::open(&state, location(prefix));
        let key = |text: &str| Key::parse(text).unwrap();
        let chunk = key("nas/subvol/data/full/chunk-20260101T000000Z-0.bin");
        let others = [
            "data/current.json",
            "data/notes.txt",
            "data/full/manifest-1.json",
            "x/full/chunk-1-0.bin",
        ];
        let others = others.map(|name| key(&format!("nas/subvol/{name}")));
        let keys = [vec![chunk.clone(), key("other/x")], others.to_vec()].concat();

        open("nas/").begin(&data(), keys.iter()).unwrap();

        let begun = open("nas/").keys(&data(), &layout());
        assert_eq!(begun, std::slice::from_ref(&chunk), "and nothing else");
        assert_eq!(open("other/").keys(&data(), &layout()), []);
        let mut pending = open("nas/");
        pending.end(&data()).unwrap();
        assert_eq!(open("nas/").keys(&data(), &layout()), []);
        fs::write(state.with_extension("prune.json"), "{").unwrap();
        assert_eq!(open("nas/").keys(&data(), &layout()), []);
    }
}
