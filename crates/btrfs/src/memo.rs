//! A state file: remembers one value per subvolume of one repository, beside
//! `global.state_path`.
//!
//! A file that is missing, damaged or of another repository is replaced. Nothing
//! depends on it, so no failure ends a run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::home::RepositoryLocation;
use crate::replace::replace;
use crate::snapshot::SubvolumeName;

/// The keys of a prune of a hundred thousand objects take a tenth of this.
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
    /// Opens the file. Never fails: if the file is unusable, it is treated as empty and
    /// a warning says why.
    pub fn open(path: PathBuf, home: RepositoryLocation) -> StateFile<T> {
        let document = match read(&path, &home) {
            Ok(document) => document,
            Err(err) => {
                if err.kind() != io::ErrorKind::NotFound {
                    let path = path.display();
                    tracing::warn!(
                        event = "state_file_ignored",
                        %path,
                        "{err}; starting with an empty state file"
                    );
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

    /// Remembers a value and writes the file. If the write fails, the value is
    /// remembered in memory only.
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
        replace(&self.path, &json)
    }
}

fn read<T: DeserializeOwned>(path: &Path, home: &RepositoryLocation) -> io::Result<Document<T>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "the file is longer than {FILE_BYTES_MAX} bytes, the limit"
        )));
    }
    let document: Document<T> = serde_json::from_slice(&bytes)?;
    if document.home != *home {
        return Err(io::Error::other("the file belongs to another bucket or prefix"));
    }
    Ok(document)
}
