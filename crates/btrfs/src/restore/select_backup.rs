//! Chooses the backup to restore.

use jiff::Timestamp;
use s3up_core::Key;
use s3up_repository::catalogue::read::subvolumes;
use s3up_repository::chain::Chain;
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::manifest::Pointer;
use s3up_repository::names::{BackupKind, SubvolumeName};
use s3up_repository::stamp::{Stamp, seconds, stamp_of, timestamp};

use super::error::RestoreError;

/// Selects one backup of a subvolume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupSelector {
    /// The backup that the pointer names.
    Newest,
    /// The newest backup that is not newer than this time.
    At(Timestamp),
    Manifest(Key),
}

/// The backups of a subvolume that a listing shows, by the times in their keys.
#[derive(Debug, Default, PartialEq, Eq)]
struct ListedBackups {
    count: usize,
    first: Option<Stamp>,
    last: Option<Stamp>,
    /// The newest backup that is old enough.
    found: Option<(Stamp, Key)>,
    /// True if a backup is dated later than the time, and S3 had it by then.
    was_ahead: bool,
}

pub struct ChainReader<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub subvolume: &'a SubvolumeName,
}

impl ChainReader<'_> {
    /// Reads and checks the chain of the selected backup.
    pub async fn chain(&self, wanted: &BackupSelector) -> Result<Chain, RestoreError> {
        let key = match wanted {
            BackupSelector::Manifest(key) => key.clone(),
            BackupSelector::Newest => self.published().await?,
            BackupSelector::At(time) => self.at(*time).await?,
        };
        let chain = self.bucket.chain(key).await?;
        let found = &chain.newest().manifest.subvolume;
        if found != self.subvolume.as_str() {
            let (key, found) = (chain.newest().key.clone(), found.clone());
            let requested = self.subvolume.clone();
            return Err(RestoreError::OtherSubvolume { key, found, requested });
        }
        Ok(chain)
    }

    /// Returns the manifest that the pointer names.
    pub async fn published(&self) -> Result<Key, RestoreError> {
        let key = self.layout.pointer(self.subvolume);
        let Some(read) = self.bucket.pointer(&key).await? else {
            let (subvolume, found) = (self.subvolume.clone(), self.instead().await?);
            return Err(RestoreError::NothingPublished { subvolume, pointer: key, found });
        };
        let pointer = |source| RestoreError::Pointer { key: key.clone(), source };
        read.pointer.map_err(pointer)?.key().map_err(pointer)
    }

    /// Returns the newest manifest up to `time`. One that is newer than the published backup
    /// does not count, because its run may have died half-way. If the pointer cannot be
    /// read, all count.
    async fn at(&self, time: Timestamp) -> Result<Key, RestoreError> {
        let pointer = self.bucket.pointer(&self.layout.pointer(self.subvolume)).await?;
        let newest = match pointer.map(|read| read.pointer) {
            Some(Ok(Pointer { created_at, .. })) => Some(created_at),
            Some(Err(_)) | None => None,
        };
        let names = self.names(newest, time).await?;
        let in_words = names.in_words();
        let manifest = names.found.map(|(_, key)| key);
        manifest.ok_or_else(|| RestoreError::NothingSoOld {
            subvolume: self.subvolume.clone(),
            at: seconds(time),
            found: in_words,
        })
    }

    /// Lists the manifests up to `newest`, and finds the newest one up to `time`.
    async fn names(
        &self,
        newest: Option<Stamp>,
        time: Timestamp,
    ) -> Result<ListedBackups, RestoreError> {
        let mut names = ListedBackups::default();
        for kind in [BackupKind::Full, BackupKind::Incremental] {
            let prefix = self.layout.manifests(self.subvolume, kind);
            let mut listing = self.bucket.store.list(&prefix, self.bucket.retry_for);
            while let Some(page) = listing.next_page().await? {
                let stamps = page.iter().filter_map(|listed| stamp_of(&prefix, &listed.key));
                let stamps = stamps.filter(|(stamp, _)| newest.is_none_or(|max| *stamp <= max));
                stamps.for_each(|(stamp, key)| names.add(stamp, key, time));
                names.was_ahead |= page.iter().any(|listed| {
                    let written_at = timestamp(listed.modified_at);
                    stamp_of(&prefix, &listed.key)
                        .is_some_and(|(stamp, _)| written_at <= time && stamp.time() > time)
                });
            }
        }
        Ok(names)
    }

    /// Describes what exists instead of the missing pointer.
    async fn instead(&self) -> Result<String, RestoreError> {
        let names = self.names(None, Timestamp::MAX).await?;
        if names.count > 0 {
            let of_it = names.in_words();
            return Ok(format!("{of_it}; restore one with `--at TIME`"));
        }
        let others = subvolumes(self.bucket, self.layout).await?;
        let others: Vec<_> = others.iter().map(SubvolumeName::as_str).collect();
        Ok(if others.is_empty() {
            let prefix = self.layout.prefix();
            format!("there are no backups below the prefix {prefix}; check bucket and prefix")
        } else {
            format!("there are backups of {}", others.join(", "))
        })
    }
}

impl ListedBackups {
    fn add(&mut self, stamp: Stamp, key: Key, time: Timestamp) {
        self.count += 1;
        self.first = Some(self.first.map_or(stamp, |first| first.min(stamp)));
        self.last = self.last.max(Some(stamp));
        let is_newer = self.found.as_ref().is_none_or(|(found, _)| *found < stamp);
        if stamp.time() <= time && is_newer {
            self.found = Some((stamp, key));
        }
    }

    fn in_words(&self) -> String {
        let time = |stamp: Stamp| seconds(stamp.time());
        let found = match (self.first, self.last) {
            (Some(first), Some(last)) if self.count > 1 => format!(
                "there are {} backups, from {} to {} (see `list`)",
                self.count,
                time(first),
                time(last)
            ),
            (Some(only), _) => format!("there is one backup, from {}", time(only)),
            (None, _) => "there are no backups of it".to_owned(),
        };
        match self.was_ahead {
            true => format!(
                "{found}; one of them was written by then, so the clock of its host was ahead: \
                 select it with `--manifest-key`"
            ),
            false => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(stamps: &[&str], time: &str) -> ListedBackups {
        let mut names = ListedBackups::default();
        for text in stamps {
            let (stamp, key) = (Stamp::parse(text).unwrap(), Key::parse(text).unwrap());
            names.add(stamp, key, time.parse().unwrap());
        }
        names
    }

    #[test]
    fn the_newest_backup_up_to_a_time_is_chosen() {
        let stamps = ["20260102T000000Z", "20260101T000000Z", "20260103T000000Z"];
        #[rustfmt::skip]
        let cases = [
            ("2025-12-31T23:59:59Z",   None),
            ("2026-01-01T00:00:00Z",   Some("20260101T000000Z")),
            ("2026-01-02T23:59:59.9Z", Some("20260102T000000Z")),
            ("2030-01-01T00:00:00Z",   Some("20260103T000000Z")),
        ];
        for (time, want) in cases {
            let found = names(&stamps, time).found;
            assert_eq!(found.as_ref().map(|(_, key)| key.as_str()), want, "{time}");
        }
    }

    #[test]
    fn the_existing_backups_are_described_by_count_and_time() {
        let words = |stamps: &[&str]| names(stamps, "2030-01-01T00:00:00Z").in_words();
        assert_eq!(words(&[]), "there are no backups of it");
        let mut ahead = names(&["20260101T000000Z"], "2025-12-31T23:59:00Z");
        ahead.was_ahead = true;
        assert!(ahead.in_words().ends_with("select it with `--manifest-key`"));
        assert_eq!(words(&["20260101T000000Z"]), "there is one backup, from 2026-01-01T00:00:00Z");
        assert_eq!(
            words(&["20260102T000000Z", "20260101T000000Z"]),
            "there are 2 backups, from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z (see `list`)"
        );
    }
}
