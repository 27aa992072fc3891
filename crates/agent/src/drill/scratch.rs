//! The scratch directory of a drill, which is private and locked.
//!
//! A drill that was killed leaves its directory. The next one removes those of its user that no process
//! has locked.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::restore::target_dir::TargetDir;

const PREFIX: &str = "s3up-drill-";

#[derive(Debug)]
pub(super) struct Scratch {
    dir: TempDir,
    pub(super) target: Arc<TargetDir>,
}

impl Scratch {
    /// Creates a directory in `parent`.
    pub(super) fn create(parent: &Path) -> io::Result<Scratch> {
        remove_leftovers(parent)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let target = TargetDir::open(dir.path())?;
        target.lock()?;
        Ok(Scratch { dir, target: Arc::new(target) })
    }

    /// Removes everything in the directory.
    pub(super) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.path())? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    pub(super) fn remove(self) -> io::Result<()> {
        self.dir.close()
    }
}

fn remove_leftovers(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if is_ours(&entry)? && TargetDir::open(&entry.path())?.lock()? {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_ours(entry: &DirEntry) -> io::Result<bool> {
    if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
        return Ok(false);
    }
    // A symlink is not followed.
    let metadata = entry.metadata()?;
    Ok(metadata.is_dir() && metadata.uid() == geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_is_removed_and_a_running_drill_and_other_things_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let leftover = parent.path().join("s3up-drill-old");
        fs::create_dir_all(leftover.join("sub")).unwrap();
        fs::write(leftover.join("sub/file"), "x").unwrap();
        let outside = parent.path().join("other");
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, parent.path().join("s3up-drill-link")).unwrap();
        fs::write(parent.path().join("s3up-drill-file"), "x").unwrap();

        let first = Scratch::create(parent.path()).unwrap();
        let second = Scratch::create(parent.path()).unwrap();

        assert!(!leftover.exists() && outside.exists());
        assert!(first.dir.path().exists() && second.dir.path().exists());
        fs::write(first.dir.path().join("file"), "x").unwrap();
        first.clear().unwrap();
        assert_eq!(fs::read_dir(first.dir.path()).unwrap().count(), 0);
        let path = first.dir.path().to_owned();
        first.remove().unwrap();
        assert!(!path.exists());
    }
}
