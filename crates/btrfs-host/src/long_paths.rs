//! Finds the longest path in a snapshot that `btrfs send` could not name.
//!
//! The kernel sends no path of 4,096 bytes or more below the subvolume, and its error names none.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up_core::{Clock, error_chain};

use crate::walk::{Walk, WalkItem};

/// Short compared with a backup, which failed anyway.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Logs the longest path below `snapshot`, a snapshot of the subvolume `name`.
pub async fn log_longest(name: &str, snapshot: &Path, clock: Clock) {
    let root = snapshot.to_owned();
    let searching = tokio::task::spawn_blocking(move || longest(&root, clock));
    match searching.await {
        Ok(Ok(path)) => tracing::error!(
            event = "path_not_sent",
            subvolume = %name,
            path = %path.display(),
            bytes = path.as_os_str().len(),
            "this is the longest path of the snapshot; `btrfs send` cannot send one of 4096 bytes or \
             more: move or rename a directory that leads to it"
        ),
        Ok(Err(err)) => tracing::warn!(
            event = "path_search_failed",
            subvolume = %name,
            "{}",
            error_chain(&err)
        ),
        Err(err) => tracing::warn!(event = "path_search_failed", subvolume = %name, "{err}"),
    }
}

/// Returns the longest path, relative to `root`. A directory that is too deep to be opened by its
/// path stands for all that is below it.
fn longest(root: &Path, clock: Clock) -> std::io::Result<PathBuf> {
    let searching = clock.start();
    let mut longest = PathBuf::new();
    for item in Walk::below(root)? {
        let (WalkItem::File { path, .. }
        | WalkItem::Dir { path }
        | WalkItem::Elsewhere { path }
        | WalkItem::Unreadable { path, .. }) = item;
        let path = path.strip_prefix(root).unwrap_or(&path);
        if path.as_os_str().as_bytes().len() > longest.as_os_str().as_bytes().len() {
            longest = path.to_owned();
        }
        if searching.elapsed() > TIME_MAX {
            break;
        }
    }
    Ok(longest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use s3up_testkit::CLOCK;

    use super::*;

    #[test]
    fn the_longest_path_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let deep = Path::new("a-long-name/another-long-name");
        fs::create_dir_all(directory.path().join(deep)).unwrap();
        fs::write(directory.path().join("short"), "").unwrap();
        assert_eq!(longest(directory.path(), CLOCK).unwrap(), deep);
    }
}
