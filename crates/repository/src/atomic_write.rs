//! Writes a file atomically: a reader sees the old or the new content, even after a
//! power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};

/// Writes `content` to `path`, whose directory must exist.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = write_beside(path, ".new", content)?;
    fs::rename(&new, path)?;
    sync_dir_of(path)
}

/// Writes `content` to `path`, which must not exist. Of two processes only one succeeds;
/// the other gets [`AlreadyExists`](io::ErrorKind::AlreadyExists). The file has no name until
/// it is whole, so a process that dies leaves nothing.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(open(directory, flags, Mode::from_raw_mode(0o666))?);
    file.write_all(content)?;
    file.sync_all()?;
    // The way that open(2) names for processes without CAP_DAC_READ_SEARCH.
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
    sync_dir_of(path)
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

fn sync_dir_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
