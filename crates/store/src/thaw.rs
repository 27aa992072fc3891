//! Brings archived objects back, many at once.
//!
//! First it is looked at what each object is, by listing; then each is asked
//! for that needs it. Both can be done again at any time: a thaw that is under
//! way is progress and not an error, a copy that would go too early is kept
//! longer, and a restore that was killed finds what it had asked for.
//!
//! Not here: what is decided for one object (`archive`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    GlacierJobParameters, Object, OptionalObjectAttributes, RestoreRequest, Tier as SdkTier,
};
use futures::{StreamExt, TryStreamExt};
use s3up_core::Key;

use crate::archive::{
    ArchiveState, Restore, Step, Tier, is_archive, is_unsure, parse_restore, refusal,
};
use crate::connect::Store;
use crate::dialect::Profile;
use crate::error::{Kind, StoreError};

/// How objects are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Thaw {
    pub tier: Tier,
    /// The copies stay for so many days, at least 1.
    pub days: u32,
    /// Calls on their way at once, at least 1.
    pub in_flight: usize,
    /// How long a failing call is repeated.
    pub retry_for: Duration,
}

/// One object after it was asked for.
#[derive(Debug)]
pub struct Thawed {
    pub key: Key,
    pub outcome: Result<ArchiveState, StoreError>,
}

/// What S3 tells of one object.
#[derive(Clone, Debug, Default)]
struct Told {
    class: Option<String>,
    is_archived: bool,
    restore: Option<Restore>,
}

impl Store {
    /// Asks for every object that is archived, and for a copy that goes before
    /// `thaw.days` from `now` to stay until then. In the order of `keys`.
    ///
    /// # Errors
    ///
    /// Nothing was asked for where an object is not there, is of a class that
    /// does not know the tier, or could not be looked at. An object that is
    /// refused by itself is told so in its [`Thawed`].
    pub async fn thaw(
        &self,
        keys: &[Key],
        thaw: &Thaw,
        now: SystemTime,
    ) -> Result<Vec<Thawed>, StoreError> {
        let told = self.tell(keys, thaw.in_flight, thaw.retry_for).await?;
        for (key, told) in &told {
            if let Some(why) = refusal(told.class.as_deref(), thaw.tier) {
                return Err(StoreError::new("thaw", key, Kind::Permanent).because(why));
            }
        }
        let told = &told;
        // Owned keys, or the future could not be sent to another thread.
        let each = keys.iter().cloned().map(|key| async move {
            let outcome = self.thaw_one(&key, &told[&key], thaw, now).await;
            Thawed { key, outcome }
        });
        Ok(futures::stream::iter(each).buffered(thaw.in_flight.max(1)).collect().await)
    }

    /// What each object is now. Costs one call for every 1,000 objects that stand
    /// beside these, where the server tells of restores in listings.
    ///
    /// # Errors
    ///
    /// One of the objects is not there, or could not be looked at.
    pub async fn archive_states(
        &self,
        keys: &[Key],
        in_flight: usize,
        retry_for: Duration,
        now: SystemTime,
    ) -> Result<BTreeMap<Key, ArchiveState>, StoreError> {
        let told = self.tell(keys, in_flight, retry_for).await?;
        Ok(told.into_iter().map(|(key, told)| (key, told.state(now))).collect())
    }

    async fn thaw_one(
        &self,
        key: &Key,
        told: &Told,
        thaw: &Thaw,
        now: SystemTime,
    ) -> Result<ArchiveState, StoreError> {
        let state = told.state(now);
        match state.step(thaw.days, now) {
            Step::Nothing => Ok(state),
            Step::Ask => {
                self.ask_for(key, told, thaw).await?;
                Ok(ArchiveState::InProgress)
            }
            Step::Prolong => {
                self.ask_for(key, told, thaw).await?;
                Ok(self.tell_by_head(key, thaw.retry_for).await?.state(now))
            }
        }
    }

    async fn ask_for(&self, key: &Key, told: &Told, thaw: &Thaw) -> Result<(), StoreError> {
        let request = restore_request(told.class.as_deref(), thaw);
        self.retry(thaw.retry_for, || {
            let restore = self.client.restore_object().bucket(self.bucket()).key(key.as_str());
            let restore = restore.restore_request(request.clone());
            self.call("thaw", key, async move {
                match restore.send().await {
                    Ok(_) => Ok(()),
                    // Another one asked, or an earlier try whose answer was lost.
                    Err(err) if err.code() == Some("RestoreAlreadyInProgress") => Ok(()),
                    Err(err) => Err(err),
                }
            })
        })
        .await
    }

    async fn tell(
        &self,
        keys: &[Key],
        in_flight: usize,
        retry_for: Duration,
    ) -> Result<BTreeMap<Key, Told>, StoreError> {
        let mut told = self.tell_by_listing(keys, retry_for).await?;
        let listing_tells = self.settings.profile == Profile::Aws
            || told.values().any(|told| told.restore.is_some());
        let unsure = keys.iter().filter(|key| {
            told.get(*key)
                .is_none_or(|told| is_unsure(told.class.as_deref(), told.restore, listing_tells))
        });
        let unsure: BTreeSet<_> = unsure.cloned().collect();
        let heads = unsure.into_iter().map(|key| async move {
            self.tell_by_head(&key, retry_for).await.map(|told| (key, told))
        });
        let heads = futures::stream::iter(heads).buffer_unordered(in_flight.max(1));
        told.extend(heads.try_collect::<Vec<_>>().await?);
        Ok(told)
    }

    async fn tell_by_listing(
        &self,
        keys: &[Key],
        retry_for: Duration,
    ) -> Result<BTreeMap<Key, Told>, StoreError> {
        let wanted: BTreeMap<&str, &Key> = keys.iter().map(|key| (key.as_str(), key)).collect();
        let mut told = BTreeMap::new();
        for folder in folders(wanted.keys().copied()) {
            let mut listing = self.list(folder, retry_for);
            listing.ask_also(OptionalObjectAttributes::RestoreStatus);
            while let Some(page) = listing.next_raw_page().await? {
                for object in page {
                    if let Some(key) = object.key().and_then(|key| wanted.get(key)) {
                        told.insert((*key).clone(), Told::of(&object));
                    }
                }
            }
        }
        Ok(told)
    }

    async fn tell_by_head(&self, key: &Key, retry_for: Duration) -> Result<Told, StoreError> {
        let Some(head) = self.head_raw(key, None, retry_for).await? else {
            return Err(StoreError::new("thaw", key, Kind::NotFound));
        };
        let class = head.storage_class.map(|class| class.as_str().to_owned());
        Ok(Told {
            // INTELLIGENT_TIERING has archives of its own.
            is_archived: is_archive(class.as_deref()) || head.archive_status.is_some(),
            class,
            restore: head.restore.as_deref().and_then(parse_restore),
        })
    }
}

impl Told {
    fn of(object: &Object) -> Told {
        let restore = object.restore_status().and_then(|status| {
            if status.is_restore_in_progress() == Some(true) {
                return Some(Restore::UnderWay);
            }
            let expires_at = SystemTime::try_from(*status.restore_expiry_date()?).ok()?;
            Some(Restore::Done { expires_at })
        });
        let class = object.storage_class().map(|class| class.as_str().to_owned());
        Told { is_archived: is_archive(class.as_deref()), class, restore }
    }

    fn state(&self, now: SystemTime) -> ArchiveState {
        ArchiveState::of(self.is_archived, self.restore, now)
    }
}

fn restore_request(class: Option<&str>, thaw: &Thaw) -> RestoreRequest {
    let tier = match thaw.tier {
        Tier::Expedited => SdkTier::Expedited,
        Tier::Standard => SdkTier::Standard,
        Tier::Bulk => SdkTier::Bulk,
    };
    let job = GlacierJobParameters::builder().tier(tier).build();
    // Only the archive classes make copies that end.
    let days = is_archive(class).then(|| i32::try_from(thaw.days).unwrap_or(i32::MAX));
    RestoreRequest::builder().set_days(days).set_glacier_job_parameters(job.ok()).build()
}

/// The folders that the keys stand in: few listings find them all.
fn folders<'a>(keys: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    keys.map(|key| key.rfind('/').map_or("", |slash| &key[..=slash])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_by_their_folders() {
        let keys = ["b/2/x", "a", "b/1/x", "b/1/y", "b/x"];
        assert_eq!(Vec::from_iter(folders(keys.into_iter())), ["", "b/", "b/1/", "b/2/"]);
    }
}
