//! What is remembered of the subvolumes of one bucket, in a file beside
//! `global.state_path`. Lost, damaged or of another bucket, it is begun anew:
//! whoever uses it can do without.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::atomic_write::write_atomically;
use crate::location::RepositoryLocation;
use crate::names::SubvolumeName;

/// A hundred thousand keys of a prune are a tenth of it.
const FILE_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug)]
pub struct StateFile<T> {
    path: PathBuf,
    document: Document<T>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document<T> {
    #[serde(flatten)]
    home: RepositoryLocation,
    subvolumes: BTreeMap<String, T>,
}

impl<T: Serialize + DeserializeOwned> StateFile<T> {
    /// Never fails: what cannot be used is begun anew, and said.
    pub fn open(path: PathBuf, home: RepositoryLocation) -> StateFile<T> {
        let document = match read(&path, &home) {
            Ok(document) => document,
            Err(err) => {
                if err.kind() != io::ErrorKind::NotFound {
                    let path = path.display();
                    tracing::warn!(event = "memo_ignored", %path, "{err}; it is begun anew");
                }
                Document { home, subvolumes: BTreeMap::new() }
            }
        };
        StateFile { path, document }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn get(&self, subvolume: &SubvolumeName) -> Option<&T> {
        self.document.subvolumes.get(subvolume.as_str())
    }

    /// Remembers it, on disk; in memory also where that fails.
    pub fn set(&mut self, subvolume: &SubvolumeName, value: T) -> io::Result<()> {
        self.document.subvolumes.insert(subvolume.as_str().to_owned(), value);
        self.write()
    }

    pub fn remove(&mut self, subvolume: &SubvolumeName) -> io::Result<()> {
        self.document.subvolumes.remove(subvolume.as_str());
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.document).expect("plain data is always JSON");
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        write_atomically(&self.path, &json)
    }
}

fn read<T: DeserializeOwned>(path: &Path, home: &RepositoryLocation) -> io::Result<Document<T>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let document: Document<T> = serde_json::from_slice(&bytes)?;
    if document.home != *home {
        return Err(io::Error::other("it is of another bucket or prefix"));
    }
    Ok(document)
}
