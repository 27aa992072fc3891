//! Orders the deletions of a prune: which objects go with which backup.

use std::collections::{BTreeMap, BTreeSet};

use s3up_core::Key;

use super::decision::DeletionStep;
use crate::catalogue::{Catalogue, Generation};

pub(super) fn steps(catalogue: &Catalogue, to_delete: &[&Generation]) -> Vec<DeletionStep> {
    // Within a generation, the newest backup first.
    let order: Vec<usize> =
        to_delete.iter().flat_map(|generation| generation.backups.iter().rev().copied()).collect();
    let position: BTreeMap<usize, usize> =
        order.iter().enumerate().map(|(at, n)| (*n, at)).collect();
    let manifests: BTreeSet<&str> =
        catalogue.backups.iter().map(|backup| backup.listed.key.as_str()).collect();
    let mut objects: Vec<Vec<(Key, u64)>> = vec![Vec::new(); order.len()];
    for (key, object) in &catalogue.objects {
        // An object is deleted with the last backup that names it, and stays if one of
        // them stays.
        let last =
            object.named_by.iter().map(|n| position.get(n).copied()).collect::<Option<Vec<_>>>();
        let last = last.and_then(|positions| positions.into_iter().max());
        let Some(last) = last.filter(|_| !manifests.contains(key.as_str())) else { continue };
        if let Ok(key) = Key::parse(key) {
            objects[last].push((key, object.size));
        }
    }
    let step = |(n, mut objects): (usize, Vec<(Key, u64)>)| {
        let backup = &catalogue.backups[n];
        let parts = backup.manifest.as_ref().ok().and_then(|entry| entry.manifest.parts.as_ref());
        let is_parts = |key: &Key| parts.is_some_and(|parts| parts.key == key.as_str());
        objects.sort_by_key(|(key, _)| !is_parts(key));
        DeletionStep {
            manifest: backup.listed.key.clone(),
            bytes: objects.iter().map(|(_, size)| size).sum(),
            objects: objects.into_iter().map(|(key, _)| key).collect(),
        }
    };
    order.into_iter().zip(objects).map(step).collect()
}

/// Returns the pending objects that still exist. If the manifest of an object
/// still exists, the object is deleted with it instead.
pub(super) fn leftovers(catalogue: &Catalogue, pending: &[Key]) -> Vec<Key> {
    let is_left = |key: &&Key| {
        catalogue.objects.get(key.as_str()).is_some_and(|object| object.named_by.is_empty())
            && !catalogue.backups.iter().any(|backup| backup.listed.key == **key)
    };
    pending.iter().filter(is_left).cloned().collect()
}
