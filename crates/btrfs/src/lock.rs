//! The lock that allows one run at a time.
//!
//! The kernel holds the lock on an open file and drops it when the process ends,
//! however it ends. The file also contains the PID of the holder, for people. It is
//! never removed: otherwise one run could lock the removed file while another locks a
//! new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use s3up_cli::lock_file::LockFile;

/// The Python tool locks by the content of the file alone.
const PYTHON_TOOL: &str = "btrfs_to_s3";

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock(LockFile);

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another run holds the lock {path:?}: process {holder}; wait until it ends")]
    Held { path: PathBuf, holder: String },
    #[error("{path:?} is not a lock file: expected a PID or nothing, found other content")]
    Foreign { path: PathBuf },
    #[error("lock {path:?}")]
    Io { path: PathBuf, source: io::Error },
}

impl Lock {
    pub fn take(path: &Path) -> Result<Lock, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let held = |holder| LockError::Held { path: path.to_owned(), holder };
        let mut file = LockFile::open(path).map_err(io)?;
        let is_locked = file.try_lock();
        let content = file.content().map_err(io)?;
        if !content.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(LockError::Foreign { path: path.to_owned() });
        }
        match is_locked.map_err(io)? {
            true => {}
            false if content.is_empty() => {
                return Err(held("with unknown PID".to_owned()));
            }
            false => return Err(held(content)),
        }
        match holder_of(&content, &command_line) {
            Holder::NoProcess => {}
            Holder::Dead { pid } => {
                tracing::warn!(
                    event = "backup_lock_stale",
                    path = %path.display(),
                    pid,
                    "taking over the lock of a run that died"
                );
            }
            Holder::PythonTool { pid } => return Err(held(format!("{pid} ({PYTHON_TOOL})"))),
        }
        file.write_pid().map_err(io)?;
        Ok(Lock(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file shows that the run ended regularly. The lock itself goes with
        // the file handle.
        if let Err(err) = self.0.clear() {
            tracing::debug!(event = "lock_not_cleared", "{err}");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Holder {
    NoProcess,
    Dead { pid: u32 },
    PythonTool { pid: u32 },
}

/// Tells who wrote `content` into a file that is not locked. `command_line` looks up a
/// process; `None` means that there is none.
fn holder_of(content: &str, command_line: &dyn Fn(u32) -> Option<String>) -> Holder {
    let Ok(pid) = content.parse() else { return Holder::NoProcess };
    match command_line(pid) {
        Some(command) if command.contains(PYTHON_TOOL) => Holder::PythonTool { pid },
        // The PID was reused by another process.
        Some(_) | None => Holder::Dead { pid },
    }
}

fn command_line(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");

        let lock = Lock::take(&path).unwrap();
        let second = Lock::take(&path).unwrap_err();

        let LockError::Held { holder, .. } = second else { panic!("{second}") };
        assert_eq!(holder, std::process::id().to_string());
        drop(lock);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        Lock::take(&path).unwrap();
    }

    #[test]
    fn the_lock_of_a_dead_run_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        // No process has this number: the limit is 4,194,304.
        fs::write(&path, "999999999\n").unwrap();

        let lock = Lock::take(&path).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap().trim(), std::process::id().to_string());
        drop(lock);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let err = Lock::take(Path::new("/no/such/lock")).unwrap_err();
        assert_eq!(err.to_string(), "lock \"/no/such/lock\"");
    }

    #[test]
    fn a_file_that_is_not_a_lock_is_left_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("config"), directory.path().join("link"));
        fs::write(&file, "[global]\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();

        assert!(matches!(Lock::take(&file), Err(LockError::Foreign { .. })));
        assert!(matches!(Lock::take(&link), Err(LockError::Io { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "[global]\n");
    }

    #[test]
    fn the_holder_is_found_by_its_pid() {
        let (python, shell, nothing) = ("python3 -m btrfs_to_s3 backup ", "bash ", "");
        #[rustfmt::skip]
        let cases = [
            ("",     python,  Holder::NoProcess),
            ("text", python,  Holder::NoProcess),
            ("12",   python,  Holder::PythonTool { pid: 12 }),
            ("12",   shell,   Holder::Dead { pid: 12 }),
            ("12",   nothing, Holder::Dead { pid: 12 }),
        ];
        for (content, process, want) in cases {
            let command_line = |_| (!process.is_empty()).then(|| process.to_owned());
            assert_eq!(holder_of(content, &command_line), want, "{content} {process}");
        }
    }
}
