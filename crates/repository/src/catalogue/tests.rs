use std::time::{Duration, SystemTime};

use s3up_core::{KeyPrefix, Sha256Digest};
use s3up_store::Listed;

use super::builder::ObjectIndex;
use super::*;
use crate::manifest::{Manifest, ManifestChunk, PartIndexRef};

const DAY: u64 = 24 * 3600;
const FIRST_DAY: u64 = 1_767_225_600;

#[test]
fn backups_form_generations_and_chains() {
    let mut listed = TestListing::default();
    listed.full(0).incremental(1, 0).incremental(2, 1).incremental(3, 1);
    listed.full(10).incremental(11, 10);
    listed.points_to(11);

    let catalogue = listed.catalogue();

    let generations = catalogue.generations();
    assert_eq!(generations.len(), 2);
    assert_eq!(listed.days(&generations[0].backups), [0, 1, 2, 3]);
    let chains = generations[0].chains.iter().map(|chain| listed.days(chain));
    assert_eq!(Vec::from_iter(chains), [vec![0, 1, 2], vec![0, 1, 3]]);
    assert_eq!(generations[1].chains.len(), 1);
    assert_eq!(catalogue.current().unwrap().map(|chain| listed.days(&chain)), Some(vec![10, 11]));
    assert_eq!(catalogue.unknown(&layout()).count(), 0);
    let publications = catalogue.publications();
    assert_eq!(publications[..4], [const { Publication::Earlier }; 4]);
    assert_eq!(publications[4..], [Publication::Current, Publication::Current]);
}

#[test]
fn objects_that_no_manifest_names_are_unknown() {
    let mut listed = TestListing::default();
    listed.full(0).points_to(0);
    for name in ["full/chunk-20260101T000000Z-7.bin", "full/manifest-today.json", "notes.txt"] {
        listed.put(&format!("nas/subvol/data/{name}"), 3, 0, None);
    }
    listed.put("nas/subvol/data/full/manifest-20260101T000000Z-parts.json", 3, 0, None);

    let catalogue = listed.catalogue();

    let unknown: Vec<_> = catalogue.unknown(&layout()).map(|(key, _)| &key[16..]).collect();
    assert_eq!(
        unknown,
        ["full/chunk-20260101T000000Z-7.bin", "full/manifest-today.json", "notes.txt"]
    );
}

#[test]
fn a_broken_backup_is_named_and_breaks_no_other() {
    type Damage = fn(&mut TestListing);
    #[rustfmt::skip]
    let cases: [(&str, Damage, &str, &[u32]); 6] = [
        // situation           damage                                       message                                     still sound
        ("no parent",          |s| s.remove_backup(1),                      "manifest-20260102T000000Z.json, the parent of", &[0, 10]),
        ("damaged",            |s| s.damage(1),                             "it is not JSON",                           &[0, 10]),
        ("no chunk",           |s| s.remove(&chunk_key(1, 0)),              "chunk-20260102T000000Z-0.bin is missing",  &[0, 10]),
        ("short chunk",        |s| s.put(&chunk_key(1, 1), 1, 1, None),     "expected 7 bytes, found 1",              &[0, 10]),
        ("no part index",      |s| s.remove(&parts_key(1)),                 "-parts.json is missing",                   &[0, 10]),
        ("wrong subvolume",    |s| s.edit(1, |m| m.subvolume = "x".into()), "expected subvolume \"data\", found \"x\"",                &[0, 10]),
    ];
    for (situation, damage, says, sound) in cases {
        let mut listed = TestListing::default();
        listed.full(0).incremental(1, 0).incremental(2, 1).full(10).points_to(10);
        damage(&mut listed);

        let catalogue = listed.catalogue();

        let publications = catalogue.publications();
        for (n, backup) in catalogue.backups.iter().enumerate() {
            let day = listed.day_of(backup.listed.stamp);
            match &publications[n] {
                Publication::Broken(reason) => {
                    assert!(!sound.contains(&day), "{situation}: {day} {reason}");
                    assert!(reason.contains(says), "{situation}: {day} {reason}");
                }
                Publication::Current
                | Publication::Earlier
                | Publication::Unpublished
                | Publication::Archived(_)
                | Publication::Unknown => assert!(sound.contains(&day), "{situation}: {day}"),
            }
        }
        assert!(catalogue.current().is_ok(), "{situation}");
    }
}

#[test]
fn a_dangling_pointer_is_broken() {
    let mut listed = TestListing::default();
    listed.full(0).incremental(1, 0);
    assert_eq!(listed.catalogue().pointer, Pointing::Nothing);
    assert_eq!(
        listed.catalogue().publications(),
        [Publication::Unpublished, Publication::Unpublished]
    );
    listed.points_to(0);
    assert_eq!(listed.catalogue().publications(), [Publication::Current, Publication::Unpublished]);
    listed.points_to(7);
    let reason = listed.catalogue().current().unwrap_err().to_string();
    assert!(reason.contains("manifest-20260108T000000Z.json is missing"), "{reason}");
    assert_eq!(listed.catalogue().publications(), [Publication::Unknown, Publication::Unknown]);
}

#[test]
fn what_an_archived_document_says_is_unknown_and_not_broken() {
    let mut listed = TestListing::default();
    listed.full(0).incremental(1, 0).incremental(2, 1).full(10).points_to(10);
    listed.archive(1);

    let catalogue = listed.catalogue();

    let archived = Publication::Archived(manifest_key(1, BackupKind::Incremental));
    let want = [Publication::Earlier, archived.clone(), archived, Publication::Current];
    assert_eq!(catalogue.publications(), want);
    assert_eq!(
        catalogue.archived_documents(&layout()),
        [manifest_key(1, BackupKind::Incremental).as_str()]
    );
    let reason = catalogue.problem(2).unwrap().to_string();
    assert!(reason.contains("is archived and was not read; thaw it with"), "{reason}");
    listed.archive_pointer();
    assert!(listed.catalogue().current().unwrap_err().is_archived());
    assert_eq!(listed.catalogue().publications()[3], Publication::Unknown);
}

#[test]
fn the_number_of_objects_has_a_limit() {
    let mut index = ObjectIndex::new("nas/subvol/data/".to_owned());
    let numbered = |n: usize| listed_object(&n.to_string(), 1, 0, None);
    for n in 0..OBJECTS_MAX {
        index.add(numbered(n)).unwrap();
    }
    let err = index.add(numbered(OBJECTS_MAX)).unwrap_err();
    assert!(err.to_string().contains("nas/subvol/data/: expected at most 500000 objects"), "{err}");
}

/// A listing and manifests, without a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestListing {
    listed: BTreeMap<String, Listed>,
    manifests: BTreeMap<Key, Result<Manifest, Unrestorable>>,
    pointer: Option<Result<Key, Unrestorable>>,
}

pub(crate) fn layout() -> Layout {
    Layout::new(KeyPrefix::parse("nas").unwrap()).unwrap()
}

pub(crate) fn data() -> SubvolumeName {
    SubvolumeName::parse("data").unwrap()
}

pub(crate) fn stamp(day: u32) -> Stamp {
    let second = FIRST_DAY + u64::from(day) * DAY;
    Stamp::at(Timestamp::from_second(second as i64).unwrap())
}

pub(crate) fn now(day: u32) -> Timestamp {
    stamp(day).time()
}

/// The key of the manifest of a day; the kind is part of it.
pub(crate) fn manifest_key(day: u32, kind: BackupKind) -> Key {
    layout().manifest(&name(day, kind))
}

pub(crate) fn chunk_key(day: u32, n: u64) -> String {
    layout().chunk(&name(day, BackupKind::Incremental), n).as_str().to_owned()
}

fn parts_key(day: u32) -> String {
    layout().parts(&name(day, BackupKind::Incremental)).as_str().to_owned()
}

fn name(day: u32, kind: BackupKind) -> crate::names::SnapshotName {
    crate::names::SnapshotName { subvolume: data(), stamp: stamp(day), kind }
}

fn listed_object(key: &str, size: u64, day: u32, class: Option<&str>) -> Listed {
    let modified = Duration::from_secs(FIRST_DAY + u64::from(day) * DAY);
    Listed {
        key: key.to_owned(),
        size,
        etag: "\"e\"".to_owned(),
        modified_at: SystemTime::UNIX_EPOCH + modified,
        storage_class: class.map(str::to_owned),
    }
}

impl TestListing {
    pub(crate) fn full(&mut self, day: u32) -> &mut TestListing {
        self.backup(day, None, None)
    }

    pub(crate) fn incremental(&mut self, day: u32, parent: u32) -> &mut TestListing {
        self.backup(day, Some(parent), None)
    }

    /// Adds two chunks, a part index and a manifest.
    pub(crate) fn backup(
        &mut self,
        day: u32,
        parent: Option<u32>,
        class: Option<&str>,
    ) -> &mut TestListing {
        let kind = if parent.is_some() { BackupKind::Incremental } else { BackupKind::Full };
        let name = name(day, kind);
        let mut manifest = crate::testing::entry(day, parent).manifest;
        manifest.created_at = stamp(day);
        manifest.parent_manifest = parent.map(|parent| self.key_of(parent).as_str().to_owned());
        let record = |n| ManifestChunk {
            key: layout().chunk(&name, n).as_str().to_owned(),
            size: 7,
            ..manifest.chunks[0].clone()
        };
        manifest.chunks = vec![record(0), record(1)];
        manifest.total_bytes = 14;
        let parts = layout().parts(&name).as_str().to_owned();
        manifest.parts = Some(PartIndexRef { key: parts.clone(), sha256: Sha256Digest::of(b"") });
        for chunk in &manifest.chunks {
            self.put(&chunk.key, 7, day, class);
        }
        self.put(&parts, 9, day, None);
        self.put(layout().manifest(&name).as_str(), 9, day, None);
        self.manifests.insert(layout().manifest(&name), Ok(manifest));
        self
    }

    pub(crate) fn put(&mut self, key: &str, size: u64, day: u32, class: Option<&str>) {
        self.listed.insert(key.to_owned(), listed_object(key, size, day, class));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.listed.remove(key).expect("an object");
        self.manifests.retain(|found, _| found.as_str() != key);
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.listed.contains_key(key)
    }

    fn remove_backup(&mut self, day: u32) {
        let key = self.key_of(day);
        self.remove(key.as_str());
    }

    pub(crate) fn damage(&mut self, day: u32) {
        let reason = format!("manifest {}: it is not JSON", self.key_of(day));
        self.manifests.insert(self.key_of(day), Err(Unrestorable::Broken(reason)));
    }

    /// Archives the manifest of a day.
    pub(crate) fn archive(&mut self, day: u32) {
        let key = self.key_of(day);
        self.put(key.as_str(), 9, day, Some("GLACIER"));
        self.manifests.insert(key.clone(), Err(Unrestorable::Archived(key)));
    }

    pub(crate) fn archive_pointer(&mut self) {
        self.pointer = Some(Err(Unrestorable::Archived(layout().pointer(&data()))));
    }

    pub(crate) fn edit(&mut self, day: u32, edit: impl FnOnce(&mut Manifest)) {
        let key = self.key_of(day);
        let manifest = self.manifests.get_mut(&key).expect("a manifest");
        edit(manifest.as_mut().expect("one that can be read"));
    }

    pub(crate) fn points_to(&mut self, day: u32) {
        self.pointer = Some(Ok(self.key_of(day)));
    }

    pub(crate) fn manifest(&self, key: &Key) -> Option<&Manifest> {
        self.manifests.get(key)?.as_ref().ok()
    }

    fn key_of(&self, day: u32) -> Key {
        let full = manifest_key(day, BackupKind::Full);
        if self.manifests.contains_key(&full) {
            full
        } else {
            manifest_key(day, BackupKind::Incremental)
        }
    }

    pub(crate) fn day_of(&self, stamp: Stamp) -> u32 {
        ((stamp.time().as_second() as u64 - FIRST_DAY) / DAY) as u32
    }

    pub(crate) fn days(&self, backups: &[usize]) -> Vec<u32> {
        let catalogue = self.catalogue();
        backups.iter().map(|n| self.day_of(catalogue.backups[*n].listed.stamp)).collect()
    }

    pub(crate) fn catalogue(&self) -> Catalogue {
        let mut index = ObjectIndex::new(layout().directory(&data()));
        for listed in self.listed.values() {
            index.add(listed.clone()).unwrap();
        }
        if self.pointer.is_some() {
            index.add(listed_object(layout().pointer(&data()).as_str(), 5, 0, None)).unwrap();
        }
        let found = index.manifests(&layout(), &data());
        let mut draft = index.into_draft(data());
        for found in found {
            let manifest = self.manifests[&found.key].clone();
            draft.add(found, manifest);
        }
        draft.finish(self.pointer.clone(), Some("\"etag\"".to_owned()))
    }
}
