//! A tree that changes at random, in every way that a stream has a command for.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, XattrFlags};

const FILE_BYTES: u64 = 300_000;

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
            (0..=3, _) if is_free(&new) => {
                let bytes = self.random(FILE_BYTES);
                let content = self.noise(bytes);
                fs::write(&new, content).expect("a change of the tree");
            }
            (4..=5, _) if is_free(&new) => fs::create_dir(&new).expect("a change of the tree"),
            (6..=8, Some(file)) => {
                let file = OpenOptions::new().write(true).open(file).expect("a change of the tree");
                let length = self.random(40_000);
                let content = self.noise(length);
                file.write_all_at(&content, self.random(FILE_BYTES)).expect("a change of the tree");
            }
            (9, Some(file)) => {
                let file = OpenOptions::new().write(true).open(file).expect("a change of the tree");
                file.set_len(self.random(FILE_BYTES)).expect("a change of the tree");
            }
            (10, Some(file)) => {
                let file = OpenOptions::new().write(true).open(file).expect("a change of the tree");
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let (at, length) = (self.random(FILE_BYTES), 1 + self.random(90_000));
                rustix::fs::fallocate(&file, flags, at, length).expect("a change of the tree");
            }
            (11, Some(file)) => fs::remove_file(file).expect("a change of the tree"),
            (12, Some(file)) if is_free(&new) => {
                fs::hard_link(file, new).expect("a change of the tree");
            }
            // Over another file, too.
            (13..=14, Some(file)) if !new.is_dir() || new.is_symlink() => {
                fs::rename(file, new).expect("a change of the tree")
            }
            (15, _) => {
                if let Some(directory) = directory
                    && !new.starts_with(&directory)
                    && is_free(&new)
                {
                    fs::rename(directory, new).expect("a change of the tree");
                }
            }
            (16, _) => {
                if self.random(4) == 0
                    && let Some(directory) = directory
                {
                    fs::remove_dir_all(directory).expect("a change of the tree");
                }
            }
            (17, Some(file)) => {
                let (from, to) = (
                    File::open(other.expect("a change of the tree")).expect("a change of the tree"),
                    file,
                );
                let to = OpenOptions::new().write(true).open(to).expect("a change of the tree");
                // Fails for a file and itself, and beyond an end that is not aligned.
                let _refused = clone_all(&from, &to);
            }
            (18, Some(file)) => {
                let mode = 0o400 | self.random(0o10000) as u32;
                fs::set_permissions(&file, PermissionsExt::from_mode(mode))
                    .expect("a change of the tree");
                let owner = self.random(3) as u32;
                std::os::unix::fs::chown(file, Some(1000 + owner), Some(owner))
                    .expect("a change of the tree");
            }
            (19, Some(file)) => {
                let name = format!("user.{}", self.random(3));
                if self.random(3) == 0 {
                    let _missing = rustix::fs::removexattr(&file, name.as_str());
                } else {
                    let length = self.random(100);
                    let value = self.noise(length);
                    rustix::fs::setxattr(&file, name.as_str(), &value, XattrFlags::empty())
                        .expect("a change of the tree");
                }
            }
            (20, _) if is_free(&new) => {
                if self.random(2) == 0 {
                    symlink(format!("target/{}", self.made), new).expect("a change of the tree");
                } else {
                    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
                    let kind = rustix::fs::FileType::Fifo;
                    rustix::fs::mknodat(rustix::fs::CWD, &new, kind, mode, 0)
                        .expect("a change of the tree");
                }
            }
            (21, Some(file)) => {
                // A name that is used again for another file within one backup.
                fs::remove_file(&file).expect("a change of the tree");
                let length = self.random(9000);
                fs::write(&file, self.noise(length)).expect("a change of the tree");
            }
            _ => {}
        }
    }
}

fn is_free(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err()
}

fn clone_all(from: &File, to: &File) -> std::io::Result<u64> {
    rustix::fs::ioctl_ficlone(to, from)?;
    Ok(0)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>, directories: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .expect("a change of the tree")
        .map(|it| it.expect("a change of the tree"))
        .collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().expect("a change of the tree"));
        if kind.is_dir() {
            walk(&path, files, directories);
            directories.push(path);
        } else if kind.is_file() {
            files.push(path);
        }
    }
}
