//! The lock of `global.lock_path`, and how a command ends that does not get it.

use anyhow::anyhow;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::lock::{Lock, LockError};
use s3up_cli::Exit;

pub fn lock(config: &Config) -> anyhow::Result<Lock> {
    Lock::take(&config.lock_path).map_err(|err| match err {
        LockError::Held { .. } => {
            let path = config.lock_path.display();
            tracing::warn!(event = "backup_lock_failed", %path, "{err}");
            Exit::Locked.with(err)
        }
        LockError::Io { .. } | LockError::Foreign { .. } => {
            Exit::Usage.with(anyhow!(err).context("check `global.lock_path`"))
        }
    })
}
