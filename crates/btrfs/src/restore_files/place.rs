//! Gives the restored files their metadata and their names, directory by directory.
//!
//! A directory is made when its first entry is, and gets its metadata after its last one. One that
//! existed keeps its own, unless it is selected and other files are replaced.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use btrfs_stream_index::FileType;
use btrfs_stream_index::chain::{ChainFile, IndexChain};
use rustix::fs::{AtFlags, Mode, fstat, ftruncate, linkat, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;
use s3up_cli::ShutdownSignal;

use super::error::FileRestoreError;
use super::existing::ExistingFiles;
use super::metadata::{self, Subject};
use super::numbers::Numbers;
use super::piece::FileNumber;
use super::selection::{PathSelection, Step};
use super::staging::FileStaging;
use super::summary::{RestoredFiles, Unset};
use super::target::{
    OpenTarget, find_directory, has_no_links, is_unfinished, last_name, make_directory, place,
};
use super::write::DamagedFiles;
use crate::browse::shown;

/// Name of a file without content while it is made.
const NEW_NAME: &[u8] = b"new";
/// Mode of a special file until its own is set.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory of the backup.
struct PlacedDir {
    name: Vec<u8>,
    /// `None` until its first entry is placed.
    fd: Option<OwnedFd>,
    is_new: bool,
    /// The reason why nothing can be placed in it.
    blocked: Option<String>,
}

struct Placing<'p> {
    chain: &'p IndexChain,
    numbers: &'p mut Numbers,
    damaged: &'p DamagedFiles,
    staging: &'p mut FileStaging,
    overwrite: ExistingFiles,
    directories: Vec<PlacedDir>,
    /// The target, until the root is entered.
    root: Option<OpenTarget>,
    /// True if an earlier restore into the target was killed.
    is_resumed: bool,
    next: FileNumber,
    shutdown: ShutdownSignal,
    result: &'p mut RestoredFiles,
}

/// The target that files are placed in, and the staging directory that has them.
pub struct PlaceAt<'p> {
    pub target: OpenTarget,
    pub staging: &'p mut FileStaging,
    pub overwrite: ExistingFiles,
    pub shutdown: ShutdownSignal,
}

pub fn place_files(
    chain: &IndexChain,
    selection: &PathSelection,
    (numbers, damaged): (&mut Numbers, &DamagedFiles),
    PlaceAt { target, staging, overwrite, shutdown }: PlaceAt<'_>,
    result: &mut RestoredFiles,
) -> Result<(), FileRestoreError> {
    let mut placing = Placing {
        chain,
        numbers,
        damaged,
        staging,
        overwrite,
        directories: Vec::new(),
        is_resumed: target.is_resumed,
        root: Some(target),
        next: 0,
        shutdown,
        result,
    };
    selection.walk(chain, |step| placing.visit(step))
}

/// Gives the target the metadata of the subvolume, if all of it is restored.
pub fn finish_target(
    chain: &IndexChain,
    target: &OpenTarget,
    overwrite: ExistingFiles,
    result: &mut RestoredFiles,
) -> Result<(), FileRestoreError> {
    let Some(root) = chain.lookup(b"")? else { return Ok(()) };
    if target.is_new || overwrite == ExistingFiles::Replace || was_complete(target, &root, result) {
        let xattrs = chain.xattrs(&root)?;
        for (unset, err) in metadata::set(Subject::Open(target.fd.as_fd()), &root.metadata, &xattrs)
        {
            result.note_unset(unset, || "/".to_owned(), err.to_string());
        }
    }
    Ok(())
}

/// Returns true if an earlier restore was killed at its very end, before it set the time of the target
/// for the last time: everything is there, and mode and owner are those of the backup.
fn was_complete(target: &OpenTarget, root: &ChainFile, result: &RestoredFiles) -> bool {
    let (restored, failed) = (result.restored.files, result.failed.files);
    let is_of_root = |found: rustix::fs::Stat| {
        Some(found.st_mode & 0o7777) == root.metadata.mode
            && Some((found.st_uid, found.st_gid)) == root.metadata.owner
    };
    restored == 0 && failed == 0 && fstat(&target.fd).is_ok_and(is_of_root)
}

impl Placing<'_> {
    fn visit(&mut self, step: Step<'_>) -> Result<(), FileRestoreError> {
        if let Some(stop) = self.shutdown.received() {
            return Err(FileRestoreError::Stopped(stop));
        }
        match step {
            Step::Enter { path, is_selected, .. } => {
                let name = last_name(path).to_vec();
                let (fd, is_new) = match self.root.take() {
                    Some(OpenTarget { fd, is_new, .. }) => (Some(fd), is_new),
                    None => (None, false),
                };
                self.directories.push(PlacedDir { name, fd, is_new, blocked: None });
                if is_selected && let Err(err) = self.directory() {
                    self.result.fail(shown(path), 0, err.to_string());
                }
                Ok(())
            }
            Step::File { path, file } => self.file(path, file),
            Step::Leave { path, directory, is_selected } => {
                let Some(left) = self.directories.pop() else { return Ok(()) };
                let Some(fd) = &left.fd else { return Ok(()) };
                self.result.directories += u64::from(is_selected);
                // The target is changed once more, when the staging directory is removed.
                let is_below = !path.is_empty();
                let is_ours =
                    left.is_new || (is_selected && self.overwrite == ExistingFiles::Replace);
                if is_below && is_ours {
                    self.set_metadata(path, directory, Subject::Open(fd.as_fd()))?;
                }
                Ok(())
            }
        }
    }

    fn set_metadata(
        &mut self,
        path: &[u8],
        file: &ChainFile,
        subject: Subject<'_>,
    ) -> Result<(), FileRestoreError> {
        let xattrs = self.chain.xattrs(file)?;
        for (unset, err) in metadata::set(subject, &file.metadata, &xattrs) {
            self.result.note_unset(unset, || shown(path), err.to_string());
        }
        Ok(())
    }

    /// Opens the directory of the present path, and makes those that are missing.
    fn directory(&mut self) -> io::Result<&OwnedFd> {
        let mut above: Option<&OwnedFd> = None;
        for directory in &mut self.directories {
            if let Some(why) = &directory.blocked {
                return Err(io::Error::other(why.clone()));
            }
            if directory.fd.is_none() {
                let Some(parent) = above else { return Err(io::ErrorKind::NotFound.into()) };
                let made = make_directory(parent, &directory.name).and_then(|(fd, is_new)| {
                    let is_new = is_new || (self.is_resumed && is_unfinished(&fd)?);
                    Ok((fd, is_new))
                });
                match made {
                    Ok((fd, is_new)) => (directory.fd, directory.is_new) = (Some(fd), is_new),
                    Err(err) => {
                        let why = format!("make the directory {}: {err}", shown(&directory.name));
                        directory.blocked = Some(why.clone());
                        return Err(io::Error::other(why));
                    }
                }
            }
            above = directory.fd.as_ref();
        }
        above.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, path: &[u8], file: &ChainFile) -> Result<(), FileRestoreError> {
        let number = self.next;
        self.next += 1;
        if !self.numbers.is_wanted(number) {
            return Ok(());
        }
        let bytes = file.metadata.length.after(0);
        let content = self.numbers.content(file, number);
        let is_last_name = self.numbers.take_name(file);
        let placed = match self.damaged.get(&content) {
            Some(reason) => Err(io::Error::other(reason.clone())),
            None if file.metadata.file_type == Some(FileType::File) => {
                self.place_content(path, file, (content, is_last_name))?
            }
            None => self.place_other(path, file)?,
        };
        match placed {
            Ok(()) => self.result.restored.add(bytes),
            Err(err) => self.result.fail(shown(path), bytes, err.to_string()),
        }
        Ok(())
    }

    /// Places a file with content. An error of the target is the inner one.
    fn place_content(
        &mut self,
        path: &[u8],
        file: &ChainFile,
        (content, is_last_name): (FileNumber, bool),
    ) -> Result<io::Result<()>, FileRestoreError> {
        let opened = self.staging.file(content).and_then(|staged| {
            ftruncate(staged, file.metadata.length.after(0))?;
            staged.try_clone()
        });
        let staged = match opened {
            Ok(staged) => staged,
            Err(err) => return Ok(Err(err)),
        };
        self.set_metadata(path, file, Subject::Open(staged.as_fd()))?;
        if let Some(placed) = self.numbers.placed(file).map(<[u8]>::to_vec) {
            // Where that fails, its content is here as well.
            let linked = self.directory().map(drop).and_then(|()| self.link_placed(path, &placed));
            let Err(err) = linked else { return Ok(Ok(())) };
            self.result.note_unset(Unset::HardLink, || shown(path), err.to_string());
        }
        if is_last_name {
            return Ok(self.rename_staged(path, content));
        }
        let refused = match self.link_staged(path, content) {
            Err(err) if Errno::from_io_error(&err).is_some_and(has_no_links) => err,
            linked => return Ok(linked),
        };
        // Each name becomes a file of its own.
        let copied =
            match remove_new(self.staging).and_then(|()| self.staging.copy(content, NEW_NAME)) {
                Ok(copied) => copied,
                Err(err) => return Ok(Err(err)),
            };
        self.set_metadata(path, file, Subject::Open(copied.as_fd()))?;
        self.result.note_unset(Unset::HardLink, || shown(path), refused.to_string());
        Ok(self.place_new(path))
    }

    /// Gives a file that an earlier run has restored another of its names.
    fn link_placed(&self, path: &[u8], placed: &[u8]) -> io::Result<()> {
        let (from, name) = self.find(placed)?;
        let (to, new) = self.find(path)?;
        Ok(linkat(from, name, to, new, AtFlags::empty())?)
    }

    /// Returns the directory of a path at the target, and its last name.
    fn find<'n>(&self, path: &'n [u8]) -> io::Result<(OwnedFd, &'n [u8])> {
        let target = self.directories.first().and_then(|root| root.fd.as_ref());
        let mut directory = target.ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        let mut rest = path;
        while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
            directory =
                find_directory(&directory, &rest[..slash])?.ok_or(io::ErrorKind::NotFound)?;
            rest = &rest[slash + 1..];
        }
        Ok((directory, rest))
    }

    /// Gives a staged file its last name.
    fn rename_staged(&mut self, path: &[u8], content: FileNumber) -> io::Result<()> {
        let replaces = self.overwrite == ExistingFiles::Replace;
        let to = self.directory()?.try_clone()?;
        let (from, staged) = self.staging.place_of(content)?;
        place((from, &staged[..]), (&to, last_name(path)), replaces)
    }

    /// Gives a staged file one of its names.
    fn link_staged(&mut self, path: &[u8], content: FileNumber) -> io::Result<()> {
        let to = self.directory()?.try_clone()?;
        let (from, staged) = self.staging.place_of(content)?;
        let from = from.try_clone()?;
        if self.overwrite == ExistingFiles::Replace {
            remove_new(self.staging)?;
            linkat(&from, &staged[..], self.staging.fd(), NEW_NAME, AtFlags::empty())?;
            return place((self.staging.fd(), NEW_NAME), (&to, last_name(path)), true);
        }
        Ok(linkat(&from, &staged[..], &to, last_name(path), AtFlags::empty())?)
    }

    /// Gives the new file in the staging directory its name.
    fn place_new(&mut self, path: &[u8]) -> io::Result<()> {
        let replaces = self.overwrite == ExistingFiles::Replace;
        let to = self.directory()?.try_clone()?;
        place((self.staging.fd(), NEW_NAME), (&to, last_name(path)), replaces)
    }

    /// Places a symlink or a special file.
    fn place_other(
        &mut self,
        path: &[u8],
        file: &ChainFile,
    ) -> Result<io::Result<()>, FileRestoreError> {
        if let Err(err) = self.make_other(file) {
            return Ok(Err(err));
        }
        let staging = match self.staging.fd().try_clone() {
            Ok(staging) => staging,
            Err(err) => return Ok(Err(err)),
        };
        let subject = Subject::Named { directory: staging.as_fd(), name: NEW_NAME };
        self.set_metadata(path, file, subject)?;
        Ok(self.place_new(path))
    }

    fn make_other(&self, file: &ChainFile) -> io::Result<()> {
        remove_new(self.staging)?;
        let (staging, metadata) = (self.staging.fd(), &file.metadata);
        let kind = match metadata.file_type {
            Some(FileType::Symlink) => {
                let target = metadata.target.as_deref().unwrap_or_default();
                return Ok(symlinkat(target, staging, NEW_NAME)?);
            }
            Some(FileType::CharDevice) => rustix::fs::FileType::CharacterDevice,
            Some(FileType::BlockDevice) => rustix::fs::FileType::BlockDevice,
            Some(FileType::Fifo) => rustix::fs::FileType::Fifo,
            Some(FileType::Socket) => rustix::fs::FileType::Socket,
            Some(FileType::File | FileType::Directory) | None => {
                return Err(io::Error::other("expected a file of a known type, found another one"));
            }
        };
        Ok(mknodat(staging, NEW_NAME, kind, PRIVATE, metadata.rdev.unwrap_or(0))?)
    }
}

/// Removes a file that could not be placed.
fn remove_new(staging: &FileStaging) -> io::Result<()> {
    match unlinkat(staging.fd(), NEW_NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
