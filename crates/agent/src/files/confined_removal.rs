//! Removes a file of a watch in two steps, so that no other file is removed in its place.
//!
//! An application may replace a file between the last check of it and `unlink`, which takes a name and
//! not a file. So the file is renamed first, to a name that nothing else uses, and checked there.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{
    AtFlags, OFlags, RenameFlags, ResolveFlags, Stat, fsync, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use s3up_cli::open_confined;

use super::confined_fs::{Dir, Root, fstat_now, is_regular};

impl Dir {
    /// Opens the directory that contains `path`.
    pub fn of(root: &Root, path: &Path) -> io::Result<Dir> {
        root.directory(path.parent().unwrap_or(Path::new("")))
    }

    /// Opens a regular file of this directory to read it.
    pub fn file(&self, name: &Path) -> io::Result<(File, Stat)> {
        // Only regular files are opened: opening a device may have effects.
        if !is_regular(&self.stat_of(name)?) {
            return Err(Errno::LOOP.into());
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = open_confined(self.fd(), name, flags, ResolveFlags::NO_XDEV)?;
        let stat = fstat_now(&fd, self.filesystem())?;
        if !is_regular(&stat) {
            return Err(Errno::LOOP.into());
        }
        Ok((File::from(fd), stat))
    }

    /// Returns the metadata of an entry. A symlink is not followed.
    pub fn stat_of(&self, name: &Path) -> io::Result<Stat> {
        Ok(statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Renames an entry. Fails if the new name exists.
    pub fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat_with(self.fd(), from, self.fd(), to, RenameFlags::NOREPLACE)?)
    }

    pub fn unlink(&self, name: &Path) -> io::Result<()> {
        Ok(unlinkat(self.fd(), name, AtFlags::empty())?)
    }

    /// Writes the entries of this directory to the disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(self.fd())?)
    }
}
