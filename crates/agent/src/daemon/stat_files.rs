//! Checks files on disk, on a thread that may wait for it.

use std::io;
use std::sync::Arc;

use crate::files::confined_fs::{self, Root, RootId};
use crate::files::identity::Identity;
use crate::files::watch::{Name, Watch, WatchIndex};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CheckedFile {
    File(Identity),
    /// The file does not exist, and its watch does.
    Gone,
    /// The path leads to something that is excluded, such as a symlink.
    NotRegular,
    /// The file or its whole watch cannot be read; a scan reports which.
    Unknown,
    /// The system lacks descriptors or memory: to be checked again.
    NotNow,
}

pub(super) async fn stat_files(
    watches: Vec<Arc<Watch>>,
    roots: Vec<Option<RootId>>,
    names: Vec<Name>,
) -> Vec<(Name, CheckedFile)> {
    let all = names.clone();
    let checked = tokio::task::spawn_blocking(move || stat_all(&watches, &roots, names)).await;
    checked.unwrap_or_else(|_| all.into_iter().map(|name| (name, CheckedFile::Unknown)).collect())
}

fn stat_all(
    watches: &[Arc<Watch>],
    roots: &[Option<RootId>],
    mut names: Vec<Name>,
) -> Vec<(Name, CheckedFile)> {
    // Sorted by watch, so that each root is opened once.
    names.sort_unstable_by_key(|name| name.watch);
    let mut checked = Vec::with_capacity(names.len());
    for group in names.chunk_by(|one, other| one.watch == other.watch) {
        let Some(first) = group.first() else { continue };
        let root = open(watches, first.watch);
        for name in group {
            let scanned = roots.get(usize::from(name.watch)).copied().flatten();
            let status = match &root {
                Ok(root) => stat_one(root, scanned, name),
                Err(err) => not_read(err),
            };
            checked.push((name.clone(), status));
        }
    }
    checked
}

fn open(watches: &[Arc<Watch>], index: WatchIndex) -> io::Result<Root> {
    let watch = watches.get(usize::from(index)).ok_or(io::ErrorKind::NotFound)?;
    Root::open(&watch.root)
}

fn not_read(err: &io::Error) -> CheckedFile {
    if confined_fs::is_exhausted(err) { CheckedFile::NotNow } else { CheckedFile::Unknown }
}

/// A file that is missing in another root than the one that was scanned, such as an empty mount
/// point, is not known to be gone.
fn stat_one(root: &Root, scanned: Option<RootId>, name: &Name) -> CheckedFile {
    let is_scanned = scanned.is_none_or(|scanned| scanned == root.id());
    match root.stat(&name.path) {
        Ok(stat) if confined_fs::is_regular(&stat) => CheckedFile::File(Identity::of(&stat)),
        Ok(_) => CheckedFile::NotRegular,
        Err(err) if confined_fs::is_gone(&err) && is_scanned => CheckedFile::Gone,
        Err(err) if confined_fs::is_refused_type(&err) => CheckedFile::NotRegular,
        Err(err) => not_read(&err),
    }
}

/// Returns device and inode of each root; `None` for one that cannot be opened.
pub(super) async fn root_ids(watches: Vec<Arc<Watch>>) -> Vec<Option<RootId>> {
    let check = move || {
        let id = |watch: &Arc<Watch>| Root::open(&watch.root).map(|root| root.id());
        watches.iter().map(|watch| id(watch).ok()).collect()
    };
    tokio::task::spawn_blocking(check).await.unwrap_or_default()
}
