//! `prune --orphans`: decides which objects that no manifest names may be deleted.
//! Pure.
//!
//! Only objects that have the form of a chunk, a part index or an index and are old enough
//! may be deleted: a younger one may belong to a backup in progress. If a manifest cannot
//! be read, its chunks look like orphans, so nothing is deleted.

use jiff::{SignedDuration, Timestamp};
use s3up_core::Key;

use crate::catalogue::{Catalogue, Unrestorable};
use crate::layout::Layout;

/// Orphans that may be deleted, and their length.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    pub keys: Vec<Key>,
    pub bytes: u64,
    /// Number of orphans that are too young.
    pub young: usize,
}

/// The reason why nothing may be deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a manifest was not read, so the objects that it names are unknown: {0}")]
pub struct ManifestUnread(Unrestorable);

/// Returns the objects that no manifest names and that are old enough to be deleted.
///
/// # Errors
///
/// Returns why nothing may be deleted.
pub fn orphans(
    catalogue: &Catalogue,
    layout: &Layout,
    older_than_days: u32,
    now: Timestamp,
) -> Result<Orphans, ManifestUnread> {
    if let Some(reason) = catalogue.backups.iter().find_map(|it| it.manifest.as_ref().err()) {
        return Err(ManifestUnread(reason.clone()));
    }
    let age = SignedDuration::from_hours(24 * i64::from(older_than_days));
    let limit = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let mut orphans = Orphans::default();
    for (key, object) in catalogue.unknown(layout) {
        let Some(key) =
            Key::parse(key).ok().filter(|key| layout.is_stream_object(&catalogue.subvolume, key))
        else {
            continue;
        };
        if object.modified_at >= limit {
            orphans.young += 1;
            continue;
        }
        orphans.keys.push(key);
        orphans.bytes += object.size;
    }
    Ok(orphans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::{TestListing, chunk_key, layout, now};

    #[test]
    fn only_old_objects_of_backups_without_a_manifest_are_orphans() {
        let mut listed = TestListing::default();
        listed.full(0).incremental(1, 0).points_to(1);
        let lost = chunk_key(2, 0);
        listed.put(&lost, 5, 2, None);
        listed.put("nas/subvol/data/full/manifest-20260103T000000Z-parts.json", 6, 2, None);
        listed.put("nas/subvol/data/full/manifest-20260103T000000Z-index.bin", 4, 2, None);
        listed.put(&chunk_key(9, 0), 5, 9, None);
        listed.put("nas/subvol/data/notes.txt", 5, 2, None);
        let of =
            |listed: &TestListing, days| orphans(&listed.catalogue(), &layout(), days, now(10));

        let found = of(&listed, 7).unwrap();

        let keys: Vec<_> = found.keys.iter().map(Key::as_str).collect();
        assert_eq!(
            keys,
            [
                "nas/subvol/data/full/manifest-20260103T000000Z-index.bin",
                "nas/subvol/data/full/manifest-20260103T000000Z-parts.json",
                lost.as_str()
            ]
        );
        assert_eq!((found.bytes, found.young), (15, 1));
        assert_eq!(of(&listed, 8).unwrap().keys, [], "an object of exactly that age is not older");
        listed.damage(1);
        assert!(of(&listed, 7).unwrap_err().to_string().contains("was not read"));
        listed.archive(1);
        assert!(of(&listed, 7).unwrap_err().to_string().contains("is archived"));
    }
}
