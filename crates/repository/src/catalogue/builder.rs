//! Builds a [`Catalogue`]: first from the listing, then from each manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use s3up_core::{Key, error_chain};
use s3up_store::Listed;

use super::{
    ABSENT_NAMED_MAX, Backup, Catalogue, CatalogueObject, ManifestKey, MissingObjects, OBJECTS_MAX,
    Pointing, TooManyObjects, Unrestorable,
};
use crate::chain::{ChainEntry, fits};
use crate::layout::{Layout, STANDARD};
use crate::manifest::Manifest;
use crate::names::{BackupKind, SubvolumeName};
use crate::stamp::Stamp;

/// A listing in progress.
pub struct ObjectIndex {
    directory: String,
    objects: BTreeMap<String, CatalogueObject>,
    classes: BTreeSet<Arc<str>>,
}

/// A catalogue in progress; manifests are added one by one.
pub struct CatalogueBuilder {
    subvolume: SubvolumeName,
    objects: BTreeMap<String, CatalogueObject>,
    backups: Vec<Backup>,
}

impl ObjectIndex {
    /// Starts a listing of the keys below `directory`.
    pub fn new(directory: String) -> ObjectIndex {
        ObjectIndex { directory, objects: BTreeMap::new(), classes: BTreeSet::new() }
    }

    pub fn add(&mut self, listed: Listed) -> Result<(), TooManyObjects> {
        if self.objects.len() == OBJECTS_MAX {
            return Err(TooManyObjects { directory: self.directory.clone() });
        }
        let class = self.class(listed.storage_class.as_deref().unwrap_or(STANDARD));
        let modified_at = Timestamp::try_from(listed.modified_at).unwrap_or(Timestamp::MAX);
        let object =
            CatalogueObject { size: listed.size, modified_at, class, named_by: Vec::new() };
        self.objects.insert(listed.key, object);
        Ok(())
    }

    /// Returns the shared name of a storage class; there are only about ten.
    fn class(&mut self, class: &str) -> Arc<str> {
        if let Some(known) = self.classes.get(class) {
            return Arc::clone(known);
        }
        let class: Arc<str> = class.into();
        self.classes.insert(Arc::clone(&class));
        class
    }

    /// Returns the manifests to read, in the order in which they must be added.
    pub fn manifests(&self, layout: &Layout, subvolume: &SubvolumeName) -> Vec<ManifestKey> {
        let of_kind = |kind: BackupKind| {
            let prefix = layout.manifests(subvolume, kind);
            let found = move |key: &String| {
                let stamp = key.strip_prefix(&prefix)?.strip_suffix(".json")?;
                let (stamp, key) = (Stamp::parse(stamp).ok()?, Key::parse(key).ok()?);
                Some(ManifestKey { stamp, kind, key })
            };
            self.objects.keys().filter_map(found)
        };
        let mut found: Vec<_> =
            of_kind(BackupKind::Full).chain(of_kind(BackupKind::Incremental)).collect();
        found.sort_unstable();
        found
    }

    pub fn into_draft(self, subvolume: SubvolumeName) -> CatalogueBuilder {
        CatalogueBuilder { subvolume, objects: self.objects, backups: Vec::new() }
    }
}

impl CatalogueBuilder {
    /// Adds a manifest, or the reason why it cannot be read.
    pub fn add(&mut self, listed: ManifestKey, manifest: Result<Manifest, Unrestorable>) {
        let mut backup = Backup {
            manifest: Err(Unrestorable::Broken(String::new())),
            listed,
            total_bytes: 0,
            chunk_count: 0,
            classes: BTreeSet::new(),
            absent: MissingObjects::default(),
            parent: None,
            full: Err(Unrestorable::Broken(String::new())),
        };
        backup.manifest = manifest.map(|mut manifest| {
            backup.total_bytes = manifest.total_bytes;
            backup.chunk_count = manifest.chunks.len();
            for chunk in std::mem::take(&mut manifest.chunks) {
                let class = self.name(&chunk.key, Some(chunk.size), &mut backup.absent);
                backup.classes.extend(class);
            }
            if let Some(parts) = &manifest.parts {
                self.name(&parts.key, None, &mut backup.absent);
            }
            ChainEntry { key: backup.listed.key.clone(), manifest }
        });
        self.backups.push(backup);
    }

    /// Notes that the next backup names this object. Returns the storage class.
    fn name(
        &mut self,
        key: &str,
        size: Option<u64>,
        absent: &mut MissingObjects,
    ) -> Option<Arc<str>> {
        let Some(object) = self.objects.get_mut(key) else {
            absent.note(|| format!("{key} is missing"));
            return None;
        };
        if let Some(size) = size.filter(|size| *size != object.size) {
            absent.note(|| format!("{key}: expected {size} bytes, found {}", object.size));
        }
        let by = self.backups.len();
        if object.named_by.last() != Some(&by) {
            object.named_by.push(by);
        }
        Some(Arc::clone(&object.class))
    }

    /// Finishes the catalogue. `pointer` is the manifest that the pointer names, or why
    /// it cannot be read.
    pub fn finish(
        self,
        pointer: Option<Result<Key, Unrestorable>>,
        pointer_etag: Option<String>,
    ) -> Catalogue {
        let CatalogueBuilder { subvolume, objects, mut backups } = self;
        let keys: BTreeMap<Key, usize> =
            backups.iter().enumerate().map(|(n, backup)| (backup.listed.key.clone(), n)).collect();
        for backup in &mut backups {
            let parent =
                backup.manifest.as_ref().ok().and_then(|entry| entry.manifest.parent_key().ok());
            backup.parent = parent.flatten().and_then(|key| keys.get(&key).copied());
        }
        for (n, full) in fulls(&subvolume, &backups).into_iter().enumerate() {
            backups[n].full = full;
        }
        let pointer = match pointer {
            None => Pointing::Nothing,
            Some(Err(reason)) => Pointing::Broken(reason),
            Some(Ok(key)) => match keys.get(&key) {
                Some(n) => Pointing::At(*n),
                None => {
                    let reason = format!("manifest {key} is missing in the bucket");
                    Pointing::Broken(Unrestorable::Broken(reason))
                }
            },
        };
        Catalogue { subvolume, pointer, pointer_etag, backups, objects }
    }
}

impl MissingObjects {
    fn note(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.names.len() < ABSENT_NAMED_MAX {
            self.names.push(name());
        }
    }
}

/// Returns the full of each backup, or why its chain does not lead to one.
fn fulls(subvolume: &SubvolumeName, backups: &[Backup]) -> Vec<Result<usize, Unrestorable>> {
    let mut known: Vec<Option<Result<usize, Unrestorable>>> = vec![None; backups.len()];
    for n in 0..backups.len() {
        let (mut path, mut at) = (Vec::new(), n);
        let full = loop {
            if let Some(full) = &known[at] {
                break full.clone();
            }
            path.push(at);
            match step(subvolume, backups, at) {
                Ok(Some(parent)) => at = parent,
                Ok(None) => break Ok(at),
                Err(reason) => break Err(reason),
            }
        };
        for at in path {
            known[at] = Some(full.clone());
        }
    }
    known.into_iter().map(|full| full.expect("every backup was visited")).collect()
}

/// Returns the parent of a backup. It is always older, so following it ends.
fn step(
    subvolume: &SubvolumeName,
    backups: &[Backup],
    at: usize,
) -> Result<Option<usize>, Unrestorable> {
    let entry = backups[at].manifest.as_ref().map_err(Clone::clone)?;
    let (key, manifest) = (&entry.key, &entry.manifest);
    if manifest.subvolume != subvolume.as_str() {
        return Err(Unrestorable::Broken(format!(
            "manifest {key}: expected subvolume {:?}, found {:?}",
            subvolume.as_str(),
            manifest.subvolume
        )));
    }
    let Some(parent_key) = &manifest.parent_manifest else { return Ok(None) };
    let Some(parent) = backups[at].parent else {
        return Err(Unrestorable::Broken(format!(
            "manifest {parent_key}, the parent of {key}, is missing in the bucket"
        )));
    };
    let parent_entry = backups[parent].manifest.as_ref().map_err(Clone::clone)?;
    fits(entry, parent_entry).map_err(|err| Unrestorable::Broken(error_chain(&err)))?;
    Ok(Some(parent))
}
