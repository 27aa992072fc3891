//! Looks at files, on a thread that may wait for the disk.

use std::sync::Arc;

use crate::beneath::{self, Root};
use crate::identity::Identity;
use crate::watch::{Name, Watch, WatchIndex};

/// What stands where a file was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    File(Identity),
    /// Nothing, in a watch that is there.
    Gone,
    /// Not a regular file, or behind something that is not entered.
    NotOurs,
    /// It cannot be looked at, or the whole watch cannot: a scan says which.
    Unknown,
}

pub(super) async fn look(watches: Vec<Arc<Watch>>, names: Vec<Name>) -> Vec<(Name, Look)> {
    let unknown = names.clone();
    let looked = tokio::task::spawn_blocking(move || look_at_all(&watches, names)).await;
    looked.unwrap_or_else(|_| unknown.into_iter().map(|name| (name, Look::Unknown)).collect())
}

fn look_at_all(watches: &[Arc<Watch>], mut names: Vec<Name>) -> Vec<(Name, Look)> {
    // By watch, so that each root is opened once.
    names.sort_unstable_by_key(|name| name.watch);
    let mut looked = Vec::with_capacity(names.len());
    for group in names.chunk_by(|one, other| one.watch == other.watch) {
        let root = group.first().and_then(|name| open(watches, name.watch));
        for name in group {
            let look = root.as_ref().map_or(Look::Unknown, |root| look_at(root, name));
            looked.push((name.clone(), look));
        }
    }
    looked
}

fn open(watches: &[Arc<Watch>], index: WatchIndex) -> Option<Root> {
    Root::open(&watches.get(usize::from(index))?.root).ok()
}

fn look_at(root: &Root, name: &Name) -> Look {
    match root.stat(&name.path) {
        Ok(stat) if beneath::is_regular(&stat) => Look::File(Identity::of(&stat)),
        Ok(_) => Look::NotOurs,
        Err(err) if beneath::is_gone(&err) => Look::Gone,
        Err(err) if beneath::is_detour(&err) => Look::NotOurs,
        Err(_) => Look::Unknown,
    }
}

/// Device and inode of each root; `None` for one that cannot be opened.
pub(super) async fn roots(watches: Vec<Arc<Watch>>) -> Vec<Option<(u64, u64)>> {
    let look = move || {
        let id = |watch: &Arc<Watch>| Root::open(&watch.root).map(|root| (root.device, root.inode));
        watches.iter().map(|watch| id(watch).ok()).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
