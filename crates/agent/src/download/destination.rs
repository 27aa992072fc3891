//! Destination of a download: standard output, a pipe or a device, or a file.
//!
//! A file appears under its name only when its content is complete. It is written
//! to a temporary file beside it, whose short name fits wherever the file's name
//! fits, in a directory that is reached through no symlink of another user. What exists is replaced only on request; that is decided before the
//! download and, for a file that appears meanwhile, again by the kernel. A pipe or
//! a device is no file: it is written to as the content arrives.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::error::DownloadError;
use crate::files::trusted_path::{MissingDirs, open_dir};
use crate::remote_files::file_metadata::FileMetadata;

/// Names of standard output. Opening one would truncate the file that a shell has
/// redirected it to.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
/// Mode of a new file until its own is set.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Mode of a file whose own is not known; the umask takes bits away.
const DEFAULT_FILE: Mode = Mode::from_raw_mode(0o666);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Keep,
    Overwrite,
}

/// An open destination.
#[derive(Debug)]
pub(super) enum Destination {
    /// A pipe or a device.
    Stream(File),
    File(FilePlace),
}

/// The place of a file that is not created yet.
#[derive(Debug)]
pub(super) struct FilePlace {
    /// The target, with symlinks resolved.
    path: PathBuf,
    existing: Existing,
    mode_before: Option<u32>,
}

/// A temporary file that becomes the target.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) writer: File,
    /// The directory of both. It stays the same, whatever its path leads to later.
    dir: OwnedFd,
    partial: String,
    /// The target, with symlinks resolved.
    path: PathBuf,
    existing: Existing,
    mode_before: Option<u32>,
    kept: bool,
}

pub(super) fn is_stdout(path: &Path) -> bool {
    STDOUT.iter().any(|name| path == Path::new(name))
}

/// Opens the target `path`. Blocking: opening a pipe waits for its reader.
pub(super) fn open(path: &Path, existing: Existing) -> Result<Destination, DownloadError> {
    let failed = |source| DownloadError::Write { path: path.to_owned(), source };
    let found = match path.metadata() {
        Ok(found) => found,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            // A symlink whose target is missing exists, too.
            let exists = path.symlink_metadata().is_ok();
            return match exists {
                true => Err(failed(err)),
                false => Ok(place(path.to_owned(), existing, None)),
            };
        }
        Err(err) => return Err(failed(err)),
    };
    let kind = found.file_type();
    if kind.is_dir() {
        return Err(DownloadError::Dir { path: path.to_owned() });
    }
    if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
        let opened = File::options().write(true).open(path).map_err(failed)?;
        return Ok(Destination::Stream(opened));
    }
    match existing {
        Existing::Keep => Err(DownloadError::Exists { path: path.to_owned() }),
        Existing::Overwrite => {
            let resolved = path.canonicalize().map_err(failed)?;
            Ok(place(resolved, existing, Some(&found)))
        }
    }
}

fn place(path: PathBuf, existing: Existing, found: Option<&Metadata>) -> Destination {
    let mode_before = found.map(|found| found.permissions().mode());
    Destination::File(FilePlace { path, existing, mode_before })
}

impl FilePlace {
    /// Creates the temporary file for a file with this metadata. Other users cannot read it, unless
    /// no mode is known that the file could get at its end.
    pub(super) fn create(self, metadata: FileMetadata) -> Result<Replacement, DownloadError> {
        let FilePlace { path, existing, mode_before } = self;
        let created = create_in(&path, metadata.mode.or(mode_before).is_some());
        match created {
            Ok((dir, partial, writer)) => {
                Ok(Replacement { writer, dir, partial, path, existing, mode_before, kept: false })
            }
            // The error names the path that the user knows.
            Err(source) => Err(DownloadError::Write { path, source }),
        }
    }
}

/// Creates a temporary file in the directory of `path`.
fn create_in(path: &Path, is_private: bool) -> io::Result<(OwnedFd, String, File)> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let dir = open_dir(parent, MissingDirs::Fail)?;
    let unique = getrandom::u64().unwrap_or_default();
    let partial = format!(".s3up-{unique:016x}");
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let writer = openat(&dir, &*partial, flags, if is_private { PRIVATE } else { DEFAULT_FILE })?;
    Ok((dir, partial, writer.into()))
}

impl Replacement {
    /// Gives the file its metadata and its name. Returns the metadata that its
    /// filesystem refused.
    pub(super) fn keep(
        mut self,
        metadata: FileMetadata,
    ) -> Result<Option<io::Error>, DownloadError> {
        let failed = |source| DownloadError::Write { path: self.path.clone(), source };
        // A replaced file keeps its mode if the gateway does not know that of the new one.
        let mode = metadata.mode.or(self.mode_before);
        let refused = FileMetadata { mode, ..metadata }.set(&self.writer).err();
        // Synced before it becomes visible under its name.
        self.writer.sync_all().map_err(failed)?;
        match self.existing {
            Existing::Overwrite => {
                let renamed = renameat(&self.dir, &*self.partial, &self.dir, self.name());
                renamed.map_err(|errno| failed(errno.into()))?;
            }
            Existing::Keep => self.rename_to_free_name()?,
        }
        self.kept = true;
        Ok(refused)
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    fn rename_to_free_name(&self) -> Result<(), DownloadError> {
        let (path, dir, partial) = (&self.path, &self.dir, self.partial.as_str());
        let renamed = match renameat_with(dir, partial, dir, self.name(), RenameFlags::NOREPLACE) {
            // A filesystem without this call, such as NFS. A link fails if the name is taken.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(dir, partial, dir, self.name(), AtFlags::empty())
                    .and_then(|()| unlinkat(dir, partial, AtFlags::empty()))
            }
            renamed => renamed,
        };
        let renamed = renamed.map_err(io::Error::from);
        renamed.map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                DownloadError::Exists { path: path.clone() }
            } else {
                DownloadError::Write { path: path.clone(), source }
            }
        })
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.kept {
            // A leftover is harmless.
            unlinkat(&self.dir, self.partial.as_str(), AtFlags::empty()).ok();
        }
    }
}
