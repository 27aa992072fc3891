//! The lock that allows one cleanup at a time on a database: that of the daemon, or one by hand.

use std::io;
use std::path::Path;

use s3up_cli::lock_file::LockFile;

#[derive(Debug)]
pub struct CleanupLock {
    _file: LockFile,
}

impl CleanupLock {
    /// Takes the lock. Returns `None` if another cleanup runs.
    pub fn take(database: &Path) -> io::Result<Option<CleanupLock>> {
        let mut path = database.as_os_str().to_owned();
        path.push(".cleanup.lock");
        let file = LockFile::open(Path::new(&path))?;
        Ok(file.try_lock()?.then_some(CleanupLock { _file: file }))
    }
}
