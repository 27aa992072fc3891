//! A small file beside the database that outlives it.
//!
//! It says that an agent has used a database here. If it is found without one, the database was
//! lost, whatever the gateway says. It holds no state: an agent that does not find it asks the
//! gateway instead.

use std::io;
use std::path::{Path, PathBuf};

use super::error::DatabaseError;

const TEXT: &str = "\
An s3up agent keeps its database beside this file. If the database is missing, the agent knows by
this file that it was lost, and asks the gateway for every file instead of taking existing files
as baseline. Remove this file only to start as on a new host.
";

/// Returns true if an agent has used a database here.
pub fn exists(database: &Path) -> Result<bool, DatabaseError> {
    marker_path(database).try_exists().map_err(|source| failed(database, source))
}

/// Creates the marker. An existing one stays as it is.
pub fn create(database: &Path) -> Result<(), DatabaseError> {
    let path = marker_path(database);
    let write = || if path.try_exists()? { Ok(()) } else { std::fs::write(&path, TEXT) };
    write().map_err(|source| failed(database, source))
}

fn failed(database: &Path, source: io::Error) -> DatabaseError {
    DatabaseError::Marker { path: marker_path(database), source }
}

fn marker_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".used");
    PathBuf::from(path)
}
