//! A state file: remembers one value per subvolume of one repository, beside
//! `global.state_path`.
//!
//! A file that is missing, damaged or of another repository is replaced. Nothing
//! depends on it, so no failure ends a run.

use s3up_core::error_chain;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::atomic_write::write_atomically;
use crate::location::RepositoryLocation;
use crate::names::SubvolumeName;

/// Identifies the file.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Written into the file, and expected there; `None`: it has none.
    pub version: Option<u64>,
    /// A longer file is none of ours.
    pub bytes_max: u64,
}

#[derive(Debug)]
pub struct StateFile<T> {
    path: PathBuf,
    document: Document<T>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(flatten)]
    location: RepositoryLocation,
    subvolumes: BTreeMap<String, T>,
}

/// Read before all else: another version may have another form.
#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// The reason why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableStateFile {
    #[error("there is no state file yet")]
    Missing,
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
    #[error("expected a file of at most {0} bytes, found a longer one")]
    TooLong(u64),
    #[error("the file is damaged")]
    Json(#[from] serde_json::Error),
    #[error("expected version {expected}, found {found}")]
    Version { found: u64, expected: u64 },
    #[error("the file belongs to another bucket or prefix")]
    OtherLocation,
}

impl<T: Serialize + DeserializeOwned> StateFile<T> {
    /// Reads the file. One that cannot be used counts as empty, and the reason is returned.
    pub fn open(
        path: PathBuf,
        location: RepositoryLocation,
        format: Format,
    ) -> (StateFile<T>, Option<UnusableStateFile>) {
        let (document, unusable) = match read(&path, &location, format) {
            Ok(document) => (document, None),
            Err(err) => {
                let (version, subvolumes) = (format.version, BTreeMap::new());
                (Document { version, location, subvolumes }, Some(err))
            }
        };
        (StateFile { path, document }, unusable)
    }

    /// Opens the file like [`open`](StateFile::open), and logs why a file that exists is not used.
    pub fn open_or_warn(
        path: PathBuf,
        location: RepositoryLocation,
        format: Format,
    ) -> StateFile<T> {
        let (file, unusable) = StateFile::open(path, location, format);
        if let Some(err) = unusable
            && !matches!(err, UnusableStateFile::Missing)
        {
            let path = file.path.display();
            tracing::warn!(event = "state_file_ignored", %path, "{}; starting with an empty state file", error_chain(&err));
        }
        file
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

    /// Remembers several values, and writes the file once.
    pub fn set_all(
        &mut self,
        values: impl IntoIterator<Item = (SubvolumeName, T)>,
    ) -> io::Result<()> {
        let values = values.into_iter().map(|(name, value)| (name.as_str().to_owned(), value));
        self.document.subvolumes.extend(values);
        self.write()
    }

    pub fn remove(&mut self, subvolume: &SubvolumeName) -> io::Result<()> {
        self.document.subvolumes.remove(subvolume.as_str());
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.document).expect("plain data is always JSON");
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        write_atomically(&self.path, &json)
    }
}

fn read<T: DeserializeOwned>(
    path: &Path,
    location: &RepositoryLocation,
    Format { version, bytes_max }: Format,
) -> Result<Document<T>, UnusableStateFile> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|err| {
        let is_missing = err.kind() == io::ErrorKind::NotFound;
        if is_missing { UnusableStateFile::Missing } else { UnusableStateFile::Io(err) }
    })?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(UnusableStateFile::Io)?;
    if bytes.len() as u64 > bytes_max {
        return Err(UnusableStateFile::TooLong(bytes_max));
    }
    if let Some(expected) = version {
        let VersionOnly { version: found } = serde_json::from_slice(&bytes)?;
        if found != expected {
            return Err(UnusableStateFile::Version { found, expected });
        }
    }
    let document: Document<T> = serde_json::from_slice(&bytes)?;
    if document.location != *location {
        return Err(UnusableStateFile::OtherLocation);
    }
    Ok(document)
}
