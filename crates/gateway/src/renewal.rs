//! Uses files that other programs renew: the TLS certificate with its key, the CA file of S3, and
//! files with S3 credentials.
//!
//! They are read every few seconds. New ones are put into force only if they work: a
//! certificate must match its key, and S3 must accept the credentials. Otherwise the previous ones stay
//! in force, and a warning follows if the files do not change again soon: a renewal may write
//! several files one after the other.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up_core::error_chain;

use crate::reload::{ReloadError, Reloader};
use crate::tls;

/// Pause between two checks of the files. A renewed file is used within 15 s, also after one failure.
const CHECK_EVERY: Duration = Duration::from_secs(4);
/// Number of failures in a row with the same files after which they are reported.
const FAILURES_SILENT: u32 = 1;
/// Files that fail are tried again at the next check.
const RENEWAL_RETRY_FOR: Duration = Duration::ZERO;

/// The state of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
}

/// The states of some files; `None` for one that cannot be examined. Equal states mean that none of them
/// was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FileStates(Vec<Option<FileStamp>>);

/// Decides when files are loaded, and which failures are reported. Pure.
#[derive(Debug, Default)]
struct FileRenewal {
    /// `None`: the files that are in use are not known, so the first check loads them.
    used: Option<FileStates>,
    failed: Option<(FileStates, u32)>,
}

impl FileStates {
    fn of(paths: &[PathBuf]) -> FileStates {
        FileStates(paths.iter().map(|path| state_of(path)).collect())
    }
}

/// Returns `None` for a file that cannot be examined.
fn state_of(path: &Path) -> Option<FileStamp> {
    let found = std::fs::metadata(path).ok()?;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some(FileStamp {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        mtime_ns: nanos(found.mtime(), found.mtime_nsec()),
        ctime_ns: nanos(found.ctime(), found.ctime_nsec()),
    })
}

impl FileRenewal {
    /// Returns true if the files have to be loaded.
    fn is_due(&self, found: &FileStates) -> bool {
        self.used.as_ref() != Some(found)
    }

    fn succeeded(&mut self, loaded: FileStates) {
        *self = FileRenewal { used: Some(loaded), failed: None };
    }

    /// Returns true if the failure has to be reported. Files that fail are tried again at each check.
    fn failed(&mut self, loaded: FileStates) -> bool {
        let before = self.failed.take().filter(|(states, _)| *states == loaded);
        let count = before.map_or(0, |(_, count)| count) + 1;
        self.failed = Some((loaded, count));
        count == FAILURES_SILENT + 1
    }
}

/// Watches the files of the running configuration.
pub(crate) async fn watch(reloader: Reloader) {
    let mut certificate = FileRenewal::default();
    let used = states_of(reloader.credential_files()).await;
    let mut credentials = FileRenewal { used: Some(used), failed: None };
    loop {
        certificate.renew_certificate(&reloader).await;
        credentials.renew_credentials(&reloader).await;
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

impl FileRenewal {
    async fn renew_certificate(&mut self, reloader: &Reloader) {
        let Some(files) = reloader.gateway.certificate().files() else { return };
        let found = states_of(vec![files.cert.clone(), files.key.clone()]).await;
        if !self.is_due(&found) {
            return;
        }
        let _turn = reloader.gateway.reloads().turn.lock().await;
        let cert_file = files.cert.display().to_string();
        let loading = files.clone();
        let loaded = tokio::task::spawn_blocking(move || tls::load(&loading)).await;
        match loaded.map_err(ReloadError::from).and_then(|loaded| Ok(loaded?)) {
            Ok(key) => {
                self.succeeded(found);
                if reloader.gateway.certificate().replace(files, key) {
                    tracing::info!(event = "certificate_renewed", cert_file);
                }
            }
            Err(err) => {
                if self.failed(found) {
                    tracing::warn!(
                        event = "certificate_not_renewed",
                        cert_file,
                        error = error_chain(&err),
                        "the previous certificate stays in use; trying the new one again"
                    );
                }
            }
        }
    }

    async fn renew_credentials(&mut self, reloader: &Reloader) {
        let found = states_of(reloader.credential_files()).await;
        if !self.is_due(&found) {
            return;
        }
        let _turn = reloader.gateway.reloads().turn.lock().await;
        match reloader.renew_credentials().await {
            Ok(()) => {
                self.succeeded(found);
                tracing::info!(event = "credentials_renewed");
            }
            Err(err) => {
                if self.failed(found) {
                    tracing::warn!(
                        event = "credentials_not_renewed",
                        error = error_chain(&err),
                        "the previous credentials and CA stay in use; trying the new ones again"
                    );
                }
            }
        }
    }
}

impl Reloader {
    /// Returns the files with the credentials for S3, and with its CA.
    fn credential_files(&self) -> Vec<PathBuf> {
        let store = self.gateway.store();
        let mut paths = store.credential_files();
        paths.extend(self.env_file.clone());
        paths.extend(store.settings().ca_file.clone());
        paths
    }

    /// Connects to S3 with the credentials and the CA that are in the files now, and uses them if S3
    /// accepts them. Nothing else of the configuration is put into force.
    async fn renew_credentials(&self) -> Result<(), ReloadError> {
        let live = self.gateway.live();
        let mut renewed = live.store.settings().clone();
        if self.env_file.is_some() {
            renewed.credentials = self.load().await?.live.store.credentials;
        }
        let store = live.store.reconnect(renewed).await?;
        let probed = store.probe(self.gateway.prefix(), RENEWAL_RETRY_FOR).await;
        probed.map_err(ReloadError::Refused)?;
        live.store.adopt_credentials(&store);
        self.gateway.live_config().replace_store(store);
        Ok(())
    }
}

async fn states_of(paths: Vec<PathBuf>) -> FileStates {
    tokio::task::spawn_blocking(move || FileStates::of(&paths)).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_loaded_when_they_change_and_reported_when_they_fail_twice() {
        let state = |size| {
            let stamp = FileStamp { device: 0, inode: 0, size, mtime_ns: 0, ctime_ns: 0 };
            FileStates(vec![Some(stamp)])
        };
        let mut watched = FileRenewal::default();

        assert!(watched.is_due(&state(1)), "it is not known which ones the start has loaded");
        watched.succeeded(state(1));
        assert!(!watched.is_due(&state(1)));
        assert!(watched.is_due(&state(2)));
        assert!(!watched.failed(state(2)), "the other file may follow");
        assert!(watched.is_due(&state(3)));
        assert!(!watched.failed(state(3)));
        assert!(watched.is_due(&state(3)), "it is tried again");
        assert!(watched.failed(state(3)));
        assert!(!watched.failed(state(3)), "it is reported once");
        watched.succeeded(state(3));
        assert!(!watched.is_due(&state(3)));
        assert!(watched.is_due(&FileStates(vec![None])), "it is gone");
    }

    #[test]
    fn a_file_that_is_written_or_replaced_has_another_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let states = || FileStates::of(std::slice::from_ref(&path));
        let none = states();
        std::fs::write(&path, "one").unwrap();
        let one = states();
        std::fs::write(directory.path().join("new"), "two").unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();

        assert_eq!(none, FileStates(vec![None]));
        assert_ne!(none, one);
        assert_ne!(one, states());
        assert_eq!(states(), states());
    }
}
