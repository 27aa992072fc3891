//! Replaces a file atomically: a reader sees the old or the new content, even after a
//! power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `content` to `path`, whose directory must exist.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
