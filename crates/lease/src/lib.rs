//! A file with a lease: the kernel grants it only if no other process uses the file in a way that the
//! lease excludes, and makes every later open of that kind wait until the lease is given up.
//!
//! A mapping keeps the file open for as long as it exists, so it is in the way of a lease as well.
//! The caller needs to own the file or to have CAP_LEASE, and not every filesystem has leases.
//!
//! <https://man7.org/linux/man-pages/man2/fcntl.2.html>, section "Leases".

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Command of fcntl(2) that `libc` lacks: chooses the signal.
const F_SETSIG: libc::c_int = 10;

/// Use of a file by other processes that a lease excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclude {
    /// Nothing may have the file open for writing, or mapped and writable.
    Writers,
    /// Nothing else may have the file open or mapped at all.
    All,
}

/// An open file with a lease. Dropping it closes the file and so gives the lease up.
#[derive(Debug)]
pub struct LeasedFile {
    file: File,
    kind: libc::c_int,
}

impl LeasedFile {
    /// Takes a lease on a file that is open for reading only. Returns `None` if the file is used.
    pub fn take(file: File, exclude: Exclude) -> io::Result<Option<LeasedFile>> {
        // The signal that tells of a waiting process must not end this one, as SIGIO would.
        fcntl(&file, F_SETSIG, libc::SIGURG)?;
        let kind = match exclude {
            Exclude::Writers => libc::F_RDLCK,
            Exclude::All => libc::F_WRLCK,
        };
        match fcntl(&file, libc::F_SETLEASE, kind) {
            Ok(_) => Ok(Some(LeasedFile { file, kind })),
            Err(err) if err.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
            Err(err) => Err(err),
        }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns true if no process waits for the lease to be given up.
    pub fn is_undisturbed(&self) -> io::Result<bool> {
        Ok(fcntl(&self.file, libc::F_GETLEASE, 0)? == self.kind)
    }
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
    #[expect(unsafe_code, reason = "no safe library has these commands")]
    // SAFETY: The descriptor is open while the file is borrowed, and these commands take a number.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_file_that_is_open_elsewhere_has_no_lease() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();

        let free = granted(&path);
        let reader = File::open(&path).unwrap();
        let read = granted(&path);
        drop(reader);
        let writer = OpenOptions::new().append(true).open(&path).unwrap();
        let written = granted(&path);
        drop(writer);

        assert_eq!((free, read, written), ((true, true), (true, false), (false, false)));
        assert_eq!(granted(&path), (true, true));
    }

    /// Returns true if a lease against writers and one against all are granted.
    fn granted(path: &Path) -> (bool, bool) {
        let take = |exclude| {
            let file = File::open(path).unwrap();
            LeasedFile::take(file, exclude).unwrap().is_some()
        };
        (take(Exclude::Writers), take(Exclude::All))
    }

    #[test]
    fn a_process_that_waits_for_the_file_shows_and_ends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        let file = File::open(&path).unwrap();
        let lease = LeasedFile::take(file, Exclude::All).unwrap().expect("a lease");
        assert!(lease.is_undisturbed().unwrap());

        let mut waiting =
            Command::new("cat").arg(&path).stdout(Stdio::null()).spawn().expect("cat");
        while lease.is_undisturbed().unwrap() {
            std::thread::yield_now();
        }
        drop(lease);

        assert!(waiting.wait().unwrap().success());
    }
}
