//! Random changes of files in a watched directory.
//!
//! All paths are among a small number that is known before, so that a key in the bucket that belongs to
//! none of them is noticed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::random::Random;

/// Number of files of each directory.
const FILES: u64 = 12;
/// Directories, among them two that are renamed into one another.
const DIRECTORIES: [&str; 6] = ["", "a", "a/b", "moved", "moved/b", "caf\u{e9} \u{1f980}"];
/// Longest pause between two changes: some files settle in it.
const PAUSE_MAX_MS: u64 = 60;
/// Longer than one part of an upload.
const LONG_BYTES: usize = 9 << 20;

/// A thread that changes files until it is stopped.
pub struct FileStorm {
    is_over: Arc<AtomicBool>,
    pub changes: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl FileStorm {
    pub fn start(root: PathBuf, mut random: Random) -> FileStorm {
        let (is_over, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (over, count) = (is_over.clone(), changes.clone());
        let thread = tokio::task::spawn_blocking(move || {
            while !over.load(Ordering::Relaxed) {
                // A change that does not fit the state of the disk does nothing.
                if change(&root, &mut random).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::park_timeout(random.millis(1, PAUSE_MAX_MS));
            }
        });
        FileStorm { is_over, changes, thread }
    }

    /// Stops the changes and returns their number.
    pub async fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.await.expect("a thread that does not panic");
        self.changes.load(Ordering::Relaxed)
    }
}

fn path(root: &Path, random: &mut Random) -> PathBuf {
    let directory = root.join(random.pick(&DIRECTORIES));
    directory.join(format!("file-{}", random.below(FILES)))
}

/// Returns true if the storm may have made a file with this relative path.
pub fn is_possible(relative: &str) -> bool {
    let (directory, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    let number = name.strip_prefix("file-").and_then(|number| number.parse::<u64>().ok());
    let is_file = number.is_some_and(|number| number < FILES);
    is_file && (DIRECTORIES.contains(&directory) || ["renamed", "renamed/b"].contains(&directory))
}

/// Makes one change.
pub fn change(root: &Path, random: &mut Random) -> io::Result<()> {
    let target = path(root, random);
    fs::create_dir_all(target.parent().unwrap_or(root))?;
    match random.below(20) {
        0 | 1 => fs::remove_file(&target),
        2 | 3 => fs::rename(path(root, random), &target),
        4 | 5 => fs::File::options().append(true).open(&target)?.write_all(&content(random)),
        6 => swap_directories(root),
        7 => fs::hard_link(path(root, random), &target),
        8 => replace(&target, &content(random)),
        9 => fs::File::options().write(true).open(&target)?.set_len(random.below(5000)),
        10 => set_mode(&target, random.pick(&[0o600, 0o640, 0o644])),
        11 => slowly(&target, random),
        12 if random.one_in(2) => fs::write(&target, long(random)),
        _ => fs::write(&target, content(random)),
    }
}

/// Renames `a` to `moved` and the other way around.
fn swap_directories(root: &Path) -> io::Result<()> {
    fs::rename(root.join("a"), root.join("renamed"))?;
    // If there is no `moved`, there is nothing to bring back.
    fs::rename(root.join("moved"), root.join("a")).ok();
    fs::rename(root.join("renamed"), root.join("moved"))
}

/// Writes another file and renames it, as editors do.
fn replace(target: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = target.with_file_name("file-0");
    fs::write(&temporary, content)?;
    fs::rename(temporary, target)
}

/// Writes a file in pieces.
fn slowly(target: &Path, random: &mut Random) -> io::Result<()> {
    let mut file = fs::File::create(target)?;
    for _ in 0..random.below(6) {
        file.write_all(&content(random))?;
        std::thread::park_timeout(Duration::from_millis(30));
    }
    Ok(())
}

fn set_mode(target: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(target, fs::Permissions::from_mode(mode))
}

fn content(random: &mut Random) -> Vec<u8> {
    let count = random.below(3000) as usize;
    random.below(u64::MAX).to_le_bytes().repeat(count)
}

fn long(random: &mut Random) -> Vec<u8> {
    let mut content = s3up_testkit::noise(LONG_BYTES as u64);
    content[..8].copy_from_slice(&random.below(u64::MAX).to_le_bytes());
    content
}

/// Returns all files below a directory, relative to it.
pub fn files_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else {
                found.extend(entry.path().strip_prefix(root).map(Path::to_owned));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_storm_has_a_path_that_is_known_before() {
        let root = tempfile::tempdir().unwrap();
        let mut random = Random::of(3, "files");
        for _ in 0..2000 {
            change(root.path(), &mut random).ok();
        }
        let files = files_below(root.path()).unwrap();

        assert!(files.len() > 30, "{files:?}");
        assert!(files.iter().all(|file| is_possible(file.to_str().unwrap())), "{files:?}");
        assert!(!is_possible("a/other") && !is_possible("c/file-1") && !is_possible("file-12"));
    }
}
