//! Writes a file atomically: a reader sees the old or the new content, even after a
//! power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `content` to `path`, whose directory must exist.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = write_beside(path, ".new", content)?;
    fs::rename(&new, path)?;
    sync_folder_of(path)
}

/// Writes `content` to `path`, which must not exist. Of two processes only one succeeds;
/// the other gets [`AlreadyExists`](io::ErrorKind::AlreadyExists).
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = write_beside(path, &format!(".{}.new", std::process::id()), content)?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    linked?;
    sync_folder_of(path)
}

fn write_beside(path: &Path, suffix: &str, content: &[u8]) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(new)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
