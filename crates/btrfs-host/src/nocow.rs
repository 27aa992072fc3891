//! Warns of files without copy-on-write, whose flag `btrfs send` loses.
//!
//! A stream does not contain the flag (`chattr +C`), so a restored database or disk
//! image is copied on write, and slower. The snapshot is searched once, before the
//! first full, and within limits: the result is a warning, not a check.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{IFlags, OFlags, ioctl_getflags};
use s3up_core::{Clock, Stopwatch};

use crate::walk::{Walk, WalkItem};

/// Maximum number of files that the warning names.
const NAMED_MAX: usize = 5;
/// Short compared with a first full, which takes hours.
const TIME_MAX: Duration = Duration::from_secs(30);
const ENTRIES_MAX: u64 = 1_000_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Nocow {
    pub count: u64,
    pub first: Vec<PathBuf>,
    /// True if every file was checked.
    pub is_complete: bool,
}

/// Searches `snapshot`, a snapshot of the subvolume `name`.
pub async fn warn(name: &str, snapshot: &Path, clock: Clock) {
    let (root, searching) = (snapshot.to_owned(), clock.start());
    let looking =
        tokio::task::spawn_blocking(move || look(&root, ENTRIES_MAX, (TIME_MAX, searching)));
    let found = match looking.await {
        Ok(Ok(found)) => found,
        Ok(Err(err)) => {
            tracing::warn!(event = "nocow_check_failed", subvolume = %name, "{err}");
            return;
        }
        Err(err) => {
            tracing::warn!(event = "nocow_check_failed", subvolume = %name, "{err}");
            return;
        }
    };
    if found.count > 0 {
        let first: Vec<_> = found.first.iter().map(|path| path.display().to_string()).collect();
        tracing::warn!(
            event = "nocow_files",
            subvolume = %name,
            count = found.count,
            complete = found.is_complete,
            first = first.join(", "),
            "files without copy-on-write (chattr +C): their content is backed up, but not this flag"
        );
    } else if !found.is_complete {
        tracing::info!(
            event = "nocow_check_incomplete",
            subvolume = %name,
            "found no file without copy-on-write, but not all files were checked"
        );
    }
}

fn look(
    root: &Path,
    entries_max: u64,
    (time_max, searching): (Duration, Stopwatch),
) -> std::io::Result<Nocow> {
    let mut found = Nocow { is_complete: true, ..Nocow::default() };
    for (entry, seen) in Walk::below(root)?.zip(0u64..) {
        if seen >= entries_max || searching.elapsed() > time_max {
            found.is_complete = false;
            break;
        }
        match entry {
            WalkItem::File { path, metadata } if metadata.is_file() => match is_nocow(&path) {
                Ok(true) => found.add(path.strip_prefix(root).unwrap_or(&path)),
                Ok(false) => {}
                Err(_) => found.is_complete = false,
            },
            WalkItem::Unreadable { .. } => found.is_complete = false,
            WalkItem::File { .. } | WalkItem::Folder { .. } | WalkItem::Elsewhere { .. } => {}
        }
    }
    Ok(found)
}

fn is_nocow(path: &Path) -> std::io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    Ok(ioctl_getflags(&file)?.contains(IFlags::NOCOW))
}

impl Nocow {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(path.to_owned());
        }
    }
}
