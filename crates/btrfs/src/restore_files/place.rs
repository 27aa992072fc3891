//! Gives the restored files their metadata and their names, directory by directory.
//!
//! A directory is made when its first entry is, and gets its metadata after its last one. One that
//! existed keeps its own, unless it is selected and other files are replaced.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use btrfs_stream_index::FileType;
use btrfs_stream_index::chain::{ChainFile, IndexChain};
use rustix::fs::{AtFlags, Mode, ftruncate, linkat, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;
use s3up_cli::ShutdownSignal;

use super::error::FileRestoreError;
use super::existing::ExistingFiles;
use super::metadata::{self, Subject};
use super::numbers::Numbers;
use super::piece::FileNumber;
use super::selection::{PathSelection, Step};
use super::staging::FileStaging;
use super::summary::RestoredFiles;
use super::target::{OpenTarget, is_unfinished, make_directory, place};
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
    numbers: &'p Numbers,
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
    (numbers, damaged): (&Numbers, &DamagedFiles),
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
    if target.is_new || overwrite == ExistingFiles::Replace {
        let xattrs = chain.xattrs(&root)?;
        for (unset, err) in metadata::set(Subject::Open(target.fd.as_fd()), &root.metadata, &xattrs)
        {
            result.note_unset(unset, || "/".to_owned(), err.to_string());
        }
    }
    Ok(())
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
        let placed = match self.damaged.get(&content) {
            Some(reason) => Err(io::Error::other(reason.clone())),
            None if file.metadata.file_type == Some(FileType::File) => {
                self.place_content(path, file, content)?
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
        content: FileNumber,
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
        Ok(self.give_name(path, file, content))
    }

    fn give_name(&mut self, path: &[u8], file: &ChainFile, content: FileNumber) -> io::Result<()> {
        let replaces = self.overwrite == ExistingFiles::Replace;
        let name = last_name(path);
        let to = self.directory()?.try_clone()?;
        if !file.is_linked {
            let (from, staged) = self.staging.place_of(content)?;
            return place((from, &staged[..]), (&to, name), replaces);
        }
        let (from, staged) = self.staging.place_of(content)?;
        let from = from.try_clone()?;
        if replaces {
            remove_new(self.staging)?;
            linkat(&from, &staged[..], self.staging.fd(), NEW_NAME, AtFlags::empty())?;
            return place((self.staging.fd(), NEW_NAME), (&to, name), true);
        }
        Ok(linkat(&from, &staged[..], &to, name, AtFlags::empty())?)
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
        let replaces = self.overwrite == ExistingFiles::Replace;
        let to = self.directory().and_then(OwnedFd::try_clone);
        Ok(to.and_then(|to| place((&staging, NEW_NAME), (&to, last_name(path)), replaces)))
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

fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
