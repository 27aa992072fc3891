//! Writes the changed pages of a file to its filesystem, without its metadata.
//!
//! `fdatasync` also commits the journal of the filesystem and flushes the cache of the disk, which takes
//! milliseconds also for a file of which nothing changed. Neither is needed if only the next store into a
//! mapped page must move the time stamps of the file.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Writes all changed pages of `file` and waits until they are written. A store into a page through a
/// mapping raises a page fault from then on, so it moves the time stamps of the file. It is no promise
/// that the content survives a crash.
///
/// It does so on filesystems that change pages in the page cache and write them from there at once, such
/// as ext4 and XFS. overlayfs keeps the pages of its files elsewhere, and btrfs compresses them later.
pub fn write_pages(file: impl AsFd) -> io::Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let fd = file.as_fd().as_raw_fd();
    // A length of 0 means all of the file.
    #[expect(unsafe_code, reason = "a system call without a safe form")]
    // SAFETY: the descriptor is open while `file` is borrowed, and no memory is passed.
    let result = unsafe { libc::sync_file_range(fd, 0, 0, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_written_and_a_pipe_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        write_pages(&file).unwrap();
        write_pages(File::open("/proc/self/exe").unwrap()).unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        assert_eq!(write_pages(&writer).unwrap_err().raw_os_error(), Some(libc::ESPIPE));
    }
}
