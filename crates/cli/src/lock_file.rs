//! A file that one process at a time has locked, and that names this process.
//!
//! The kernel holds the lock on the open file and drops it when the process
//! dies, however it dies. The file is never removed: a second process could lock
//! the removed file, and a third a new one.
//!
//! Not here: who is refused, and what the refusal says.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// A PID has ten digits at most; a longer file is not ours.
const CONTENT_BYTES_MAX: u64 = 64;
/// Refuses a symlink, which another user may have put there.
const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

/// Attempts to take a lock while other processes ask whether it is held.
const ATTEMPTS_MAX: usize = 1000;

/// An open lock file. Dropping it releases the lock.
#[derive(Debug)]
pub struct LockFile(File);

impl LockFile {
    /// Opens the file and creates it if it does not exist.
    pub fn open(path: &Path) -> io::Result<LockFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(LockFile(options.mode(0o600).custom_flags(NOFOLLOW).open(path)?))
    }

    /// Takes the lock. Returns false if another process holds it.
    ///
    /// [`LockFile::is_held`] takes a shared lock for an instant, which is no holder: `status` must
    /// not stop an agent from starting.
    pub fn try_lock(&self) -> io::Result<bool> {
        for _ in 0..ATTEMPTS_MAX {
            if self.flock(FlockOperation::NonBlockingLockExclusive)? {
                return Ok(true);
            }
            if !self.flock(FlockOperation::NonBlockingLockShared)? {
                return Ok(false);
            }
            self.flock(FlockOperation::NonBlockingUnlock)?;
            std::thread::yield_now();
        }
        Ok(false)
    }

    /// Returns false if the lock of another process is in the way.
    fn flock(&self, operation: FlockOperation) -> io::Result<bool> {
        match flock(&self.0, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns the content of the file, without white space around it.
    pub fn content(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.0.rewind()?;
        (&self.0).take(CONTENT_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Writes the PID of this process.
    pub fn write_pid(&mut self) -> io::Result<()> {
        self.clear()?;
        self.0.rewind()?;
        writeln!(self.0, "{}", std::process::id())
    }

    /// Empties the file to record that its holder ended cleanly.
    pub fn clear(&self) -> io::Result<()> {
        self.0.set_len(0)
    }

    /// Returns true if a living process holds the lock of this file.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_file_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut first = LockFile::open(&path).unwrap();
        assert!(first.try_lock().unwrap());
        first.write_pid().unwrap();

        let mut second = LockFile::open(&path).unwrap();

        assert!(!second.try_lock().unwrap());
        assert_eq!(second.content().unwrap(), std::process::id().to_string());
        assert!(LockFile::is_held(&path));
        first.clear().unwrap();
        drop(first);
        assert!(!LockFile::is_held(&path));
        assert!(second.try_lock().unwrap());
        assert_eq!(second.content().unwrap(), "");
    }

    #[test]
    fn who_asks_for_the_holder_does_not_hold_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        LockFile::open(&path).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        LockFile::is_held(&path);
                    }
                });
            }
            let taken = (0..2000).filter(|_| LockFile::open(&path).unwrap().try_lock().unwrap());
            let taken = taken.count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(taken, 2000);
        });
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();

        assert!(LockFile::open(&link).is_err());
    }
}
