//! What a prune has begun to delete: a file beside `global.state_path`, written
//! before the first delete, and emptied after the last.
//!
//! It is never believed alone: only what no manifest names any more is taken for
//! a leftover. Lost, damaged or of another bucket, it is begun anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use s3up_core::Key;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::layout::Layout;
use crate::replace::replace;
use crate::snapshot::SubvolumeName;

#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    document: Document,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Document {
    #[serde(flatten)]
    home: Home,
    /// Keys that go, by subvolume.
    subvolumes: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
#[error("write what is about to be deleted to {path:?}; check `global.state_path`")]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

impl Journal {
    /// Never fails: what cannot be used is begun anew, and said.
    pub fn open(state_path: &Path, home: Home) -> Journal {
        let path = state_path.with_extension("prune.json");
        let document = match read(&path, &home) {
            Ok(document) => document,
            Err(err) => {
                if err.kind() != io::ErrorKind::NotFound {
                    let path = path.display();
                    tracing::warn!(event = "journal_ignored", %path, "{err}; it is begun anew");
                }
                Document { home, subvolumes: BTreeMap::new() }
            }
        };
        Journal { path, document }
    }

    /// What had been begun, as far as it can be of this subvolume.
    pub fn keys(&self, subvolume: &SubvolumeName, layout: &Layout) -> Vec<Key> {
        let (folder, pointer) = (layout.folder(subvolume), layout.pointer(subvolume));
        let keys = self.document.subvolumes.get(subvolume.as_str()).into_iter().flatten();
        let keys = keys.filter(|key| key.starts_with(&folder) && *key != pointer.as_str());
        keys.filter_map(|key| Key::parse(key).ok()).collect()
    }

    pub fn begin<'k>(
        &mut self,
        subvolume: &SubvolumeName,
        keys: impl Iterator<Item = &'k Key>,
    ) -> Result<(), JournalError> {
        let keys = keys.map(|key| key.as_str().to_owned()).collect();
        self.document.subvolumes.insert(subvolume.as_str().to_owned(), keys);
        self.write()
    }

    pub fn end(&mut self, subvolume: &SubvolumeName) -> Result<(), JournalError> {
        self.document.subvolumes.remove(subvolume.as_str());
        self.write()
    }

    fn write(&self) -> Result<(), JournalError> {
        let json = serde_json::to_vec(&self.document).expect("plain data is always JSON");
        let folder = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| replace(&self.path, &json));
        written.map_err(|source| JournalError { path: self.path.clone(), source })
    }
}

fn read(path: &Path, home: &Home) -> io::Result<Document> {
    let document: Document = serde_json::from_slice(&fs::read(path)?)?;
    if document.home != *home {
        return Err(io::Error::other("it is of another bucket or prefix"));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::{data, layout};

    #[test]
    fn what_was_begun_is_remembered_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state.json");
        let home = |prefix: &str| Home {
            endpoint: None,
            bucket: "backups".to_owned(),
            prefix: prefix.to_owned(),
        };
        let open = |prefix| Journal::open(&state, home(prefix));
        let key = |text: &str| Key::parse(text).unwrap();
        let chunk = key("nas/subvol/data/full/chunk-20260101T000000Z-0.bin");
        let keys = [chunk.clone(), key("nas/subvol/data/current.json"), key("other/x")];

        open("nas/").begin(&data(), keys.iter()).unwrap();

        let begun = open("nas/").keys(&data(), &layout());
        assert_eq!(begun, std::slice::from_ref(&chunk), "and nothing else");
        assert_eq!(open("other/").keys(&data(), &layout()), []);
        let mut journal = open("nas/");
        journal.end(&data()).unwrap();
        assert_eq!(open("nas/").keys(&data(), &layout()), []);
        fs::write(state.with_extension("prune.json"), "{").unwrap();
        assert_eq!(open("nas/").keys(&data(), &layout()), []);
    }
}
