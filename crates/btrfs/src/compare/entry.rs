//! Compares one name in both trees, except for its content.
//!
//! A directory is held open and its entries are reached through `/proc/self/fd`, so a path may be
//! longer than the kernel's limit.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions, ReadDir};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use btrfs_host::filesystem::XATTR_BYTES_MAX;
use rustix::fs::{OFlags, lgetxattr, llistxattr, llistxattr_query};

use super::difference::{EntryKind, Mismatch, Side};

const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

/// An open directory.
pub struct Dir(File);

/// A name that both trees have.
pub struct EntryPair<'a> {
    pub name: &'a OsStr,
    pub dirs: (&'a Dir, &'a Dir),
    pub source: Metadata,
    pub restored: Metadata,
}

impl Dir {
    pub fn open(path: &Path) -> io::Result<Dir> {
        let flags = NOFOLLOW | OFlags::DIRECTORY.bits() as i32;
        Ok(Dir(OpenOptions::new().read(true).custom_flags(flags).open(path)?))
    }

    /// Returns the path of an entry. `.` is the directory.
    pub fn path(&self, name: &OsStr) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name)
    }

    pub fn names(&self) -> io::Result<ReadDir> {
        fs::read_dir(self.path(OsStr::new(".")))
    }

    /// Returns the metadata of an entry; `None` if there is no such name.
    pub fn metadata(&self, name: &OsStr) -> io::Result<Option<Metadata>> {
        match fs::symlink_metadata(self.path(name)) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Opens a regular file.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(NOFOLLOW).open(self.path(name))
    }
}

impl EntryPair<'_> {
    /// Returns all differences except in content and names. If the kinds differ, returns only
    /// that.
    pub fn differences(&self) -> Vec<Mismatch> {
        let (source, restored) = (&self.source, &self.restored);
        let kinds = (kind(source), kind(restored));
        if kinds.0 != kinds.1 {
            return vec![Mismatch::Kind { source: kinds.0, restored: kinds.1 }];
        }
        let mut found = plain_differences(source, restored);
        if source.is_symlink() {
            found.extend(self.of_targets());
        }
        found.extend(self.of_attributes());
        found
    }

    fn of_targets(&self) -> Option<Mismatch> {
        let targets = self.both(|path| fs::read_link(path));
        let (source, restored) = match targets {
            Ok(targets) => targets,
            Err(unreadable) => return Some(unreadable),
        };
        (source != restored).then_some(Mismatch::Target { source, restored })
    }

    fn of_attributes(&self) -> Vec<Mismatch> {
        let (source, restored) = match self.both(attribute_names) {
            Ok(names) => names,
            Err(unreadable) => return vec![unreadable],
        };
        let mut found = Vec::new();
        for name in source.union(&restored) {
            let is_on_both = source.contains(name) && restored.contains(name);
            let values = || self.both(|path| attribute(path, name));
            match is_on_both.then(values) {
                Some(Ok((source, restored))) if source == restored => {}
                Some(Err(unreadable)) => found.push(unreadable),
                Some(Ok(_)) | None => found.push(Mismatch::Attribute { name: name.clone() }),
            }
        }
        found
    }

    /// Opens the name in both trees.
    pub fn open_both<T>(
        &self,
        open: impl Fn(&Dir, &OsStr) -> io::Result<T>,
    ) -> Result<(T, T), Mismatch> {
        let (source, restored) = self.dirs;
        let source = open(source, self.name).map_err(|error| in_source(&error))?;
        Ok((source, open(restored, self.name).map_err(|error| in_restored(&error))?))
    }

    fn both<T>(&self, look: impl Fn(&Path) -> io::Result<T>) -> Result<(T, T), Mismatch> {
        self.open_both(|directory, name| look(&directory.path(name)))
    }
}

pub fn in_source(error: &io::Error) -> Mismatch {
    Mismatch::Unreadable { side: Side::Source, error: error.to_string() }
}

pub fn in_restored(error: &io::Error) -> Mismatch {
    Mismatch::Unreadable { side: Side::Restored, error: error.to_string() }
}

/// Returns the differences in metadata.
fn plain_differences(source: &Metadata, restored: &Metadata) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mode = |of: &Metadata| of.mode() & 0o7777;
    if mode(source) != mode(restored) {
        found.push(Mismatch::Mode { source: mode(source), restored: mode(restored) });
    }
    let owner = |of: &Metadata| (of.uid(), of.gid());
    if owner(source) != owner(restored) {
        found.push(Mismatch::Owner { source: owner(source), restored: owner(restored) });
    }
    let modified = |of: &Metadata| (of.mtime(), of.mtime_nsec());
    if modified(source) != modified(restored) {
        found.push(Mismatch::Modified { source: modified(source), restored: modified(restored) });
    }
    if source.is_file() && source.len() != restored.len() {
        found.push(Mismatch::Length { source: source.len(), restored: restored.len() });
    }
    // `rdev` is 0 unless the entry is a device.
    if source.rdev() != restored.rdev() {
        found.push(Mismatch::Device { source: source.rdev(), restored: restored.rdev() });
    }
    if !source.is_dir() && source.nlink() != restored.nlink() {
        found.push(Mismatch::LinkCount { source: source.nlink(), restored: restored.nlink() });
    }
    found
}

fn kind(metadata: &Metadata) -> EntryKind {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => EntryKind::File,
        () if kind.is_dir() => EntryKind::Directory,
        () if kind.is_symlink() => EntryKind::Symlink,
        () if kind.is_fifo() => EntryKind::Fifo,
        () if kind.is_socket() => EntryKind::Socket,
        () if kind.is_char_device() => EntryKind::CharacterDevice,
        () => EntryKind::BlockDevice,
    }
}

fn attribute_names(path: &Path) -> io::Result<BTreeSet<OsString>> {
    // Most files have no attributes, and this call is cheap.
    if llistxattr_query(path)? == 0 {
        return Ok(BTreeSet::new());
    }
    let mut names = vec![0; XATTR_BYTES_MAX];
    let len = llistxattr(path, names.as_mut_slice())?;
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

fn attribute(path: &Path, name: &OsStr) -> io::Result<Vec<u8>> {
    let mut value = vec![0; XATTR_BYTES_MAX];
    let len = lgetxattr(path, name, value.as_mut_slice())?;
    value.truncate(len);
    Ok(value)
}
