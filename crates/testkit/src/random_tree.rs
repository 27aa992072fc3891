//! A tree that changes at random, by most commands that a stream can have. Devices and sockets are not made.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, XattrFlags};

const FILE_BYTES: u64 = 300_000;
/// The text of a panic: a tree that cannot be changed fails the test.
const CHANGE: &str = "a change of the tree";

/// A directory of a btrfs filesystem that is changed at random. Needs root.
pub struct RandomTree {
    root: PathBuf,
    state: u64,
    made: u64,
}

impl RandomTree {
    /// Starts with a directory, which should be empty. The same seed makes the same changes.
    pub fn new(root: PathBuf, seed: u64) -> RandomTree {
        RandomTree { root, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, made: 0 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below.max(1)
    }

    /// Returns bytes that differ from call to call. Half of the calls return bytes that can be
    /// compressed.
    fn noise(&mut self, bytes: u64) -> Vec<u8> {
        let salt = self.random(1 << 40).to_le_bytes();
        let mut noise = crate::noise::noise(bytes);
        if self.random(2) == 0 {
            (0..).zip(&mut noise).for_each(|(at, byte): (usize, _)| *byte = (at >> 10) as u8);
        }
        noise.iter().zip(salt.iter().cycle()).map(|(byte, salt)| byte ^ salt).collect()
    }

    fn pick(&mut self, of: &[PathBuf]) -> Option<PathBuf> {
        let n = self.random(of.len() as u64) as usize;
        of.get(n).cloned()
    }

    /// Returns a path for a new file. Names repeat, so that files are made again under them.
    fn fresh(&mut self, directories: &[PathBuf]) -> PathBuf {
        let directory = self.pick(directories).expect("at least the root");
        self.made += 1;
        let number = self.random(40);
        directory.join(format!("name-{number}"))
    }

    /// Makes this many changes.
    pub fn change(&mut self, count: usize) {
        for _ in 0..count {
            let (mut files, mut directories) = (Vec::new(), vec![self.root.clone()]);
            walk(&self.root, &mut files, &mut directories);
            self.step(&files, &directories);
        }
    }

    fn step(&mut self, files: &[PathBuf], directories: &[PathBuf]) {
        let new = self.fresh(directories);
        let file = self.pick(files);
        let other = self.pick(files);
        let directory = self.pick(directories).filter(|it| *it != self.root);
        match (self.random(22), file) {
            (0..=5, _) if is_free(&new) => self.create(&new),
            (6..=10, Some(file)) => self.change_content(&file),
            (11, Some(file)) => fs::remove_file(file).expect(CHANGE),
            (12, Some(file)) if is_free(&new) => fs::hard_link(file, new).expect(CHANGE),
            // Over another file, too.
            (13..=14, Some(file)) if !new.is_dir() || new.is_symlink() => {
                fs::rename(file, new).expect(CHANGE);
            }
            (15..=16, _) => {
                if let Some(directory) = directory {
                    self.change_directory(&directory, &new);
                }
            }
            (17, Some(file)) => {
                let from = File::open(other.expect(CHANGE)).expect(CHANGE);
                // Fails for a file and itself, and beyond an end that is not aligned.
                let _refused = clone_all(&from, &open_to_write(&file));
            }
            (18..=19, Some(file)) => self.change_attributes(&file),
            (20, _) if is_free(&new) => self.create_special(&new),
            (21, Some(file)) => {
                // A name that is used again for another file within one backup.
                fs::remove_file(&file).expect(CHANGE);
                let length = self.random(9000);
                fs::write(&file, self.noise(length)).expect(CHANGE);
            }
            _ => {}
        }
    }

    /// Creates a file with content, or a directory.
    fn create(&mut self, new: &Path) {
        if self.random(3) == 0 {
            return fs::create_dir(new).expect(CHANGE);
        }
        let bytes = self.random(FILE_BYTES);
        fs::write(new, self.noise(bytes)).expect(CHANGE);
    }

    /// Creates a symlink that leads nowhere, or a FIFO.
    fn create_special(&mut self, new: &Path) {
        if self.random(2) == 0 {
            return symlink(format!("target/{}", self.made), new).expect(CHANGE);
        }
        let mode = rustix::fs::Mode::from_bits_truncate(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, new, kind, mode, 0).expect(CHANGE);
    }

    /// Overwrites a range, sets another length, or punches a hole.
    fn change_content(&mut self, file: &Path) {
        let file = open_to_write(file);
        match self.random(5) {
            0 => file.set_len(self.random(FILE_BYTES)).expect(CHANGE),
            1 => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let (at, length) = (self.random(FILE_BYTES), 1 + self.random(90_000));
                rustix::fs::fallocate(&file, flags, at, length).expect(CHANGE);
            }
            _ => {
                let length = self.random(40_000);
                let content = self.noise(length);
                file.write_all_at(&content, self.random(FILE_BYTES)).expect(CHANGE);
            }
        }
    }

    /// Moves a directory to a free path outside of itself, or sometimes removes it with all that is in it.
    fn change_directory(&mut self, directory: &Path, new: &Path) {
        if self.random(2) == 0 {
            if !new.starts_with(directory) && is_free(new) {
                fs::rename(directory, new).expect(CHANGE);
            }
        } else if self.random(4) == 0 {
            fs::remove_dir_all(directory).expect(CHANGE);
        }
    }

    /// Changes mode and owner, or an extended attribute.
    fn change_attributes(&mut self, file: &Path) {
        if self.random(2) == 0 {
            let mode = 0o400 | self.random(0o10000) as u32;
            fs::set_permissions(file, PermissionsExt::from_mode(mode)).expect(CHANGE);
            let owner = self.random(3) as u32;
            return std::os::unix::fs::chown(file, Some(1000 + owner), Some(owner)).expect(CHANGE);
        }
        let name = format!("user.{}", self.random(3));
        if self.random(3) == 0 {
            let _missing = rustix::fs::removexattr(file, name.as_str());
        } else {
            let length = self.random(100);
            let value = self.noise(length);
            let flags = XattrFlags::empty();
            rustix::fs::setxattr(file, name.as_str(), &value, flags).expect(CHANGE);
        }
    }
}

fn open_to_write(file: &Path) -> File {
    OpenOptions::new().write(true).open(file).expect(CHANGE)
}

fn is_free(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err()
}

fn clone_all(from: &File, to: &File) -> std::io::Result<u64> {
    rustix::fs::ioctl_ficlone(to, from)?;
    Ok(0)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>, directories: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(directory).expect(CHANGE).map(|it| it.expect(CHANGE)).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().expect(CHANGE));
        if kind.is_dir() {
            walk(&path, files, directories);
            directories.push(path);
        } else if kind.is_file() {
            files.push(path);
        }
    }
}
