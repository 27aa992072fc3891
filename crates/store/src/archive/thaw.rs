//! Thaws archived objects, many at once.
//!
//! First we find out the state of each object by listing, then we request those
//! that need it. Both can be repeated at any time: a thaw in progress is not an
//! error, a copy that would expire too early is extended, and a restarted restore
//! finds what it had requested.
//!
//! Not here: the decision for one object (`state`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    GlacierJobParameters, Object, OptionalObjectAttributes, RestoreRequest, Tier as SdkTier,
};
use futures::{StreamExt, TryStreamExt};
use s3up_core::Key;
use s3up_core::storage_class::is_archive_class;

use crate::archive::state::{
    ArchiveState, RestoreStatus, ThawAction, Tier, needs_head, parse_restore, unsupported_tier,
};
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::settings::Profile;
use crate::transport::capabilities::Archive;
use crate::transport::connect::Store;

/// Settings of a thaw.
#[derive(Clone, Copy, Debug)]
pub struct ThawRequest {
    pub tier: Tier,
    /// Number of days that the copies stay, at least 1.
    pub days: u32,
    /// True if thaws that are in progress are requested again. S3 accepts that if the tier is
    /// faster than the one before, and charges for both.
    pub speeds_up: bool,
    /// Maximum number of calls in flight, at least 1.
    pub in_flight: usize,
    /// Time for which a failing call is retried.
    pub retry_for: Duration,
}

/// The result of a thaw for one object.
#[derive(Debug)]
pub struct ThawedObject {
    pub key: Key,
    pub outcome: Result<ArchiveState, StoreError>,
    /// True if S3 accepted a faster tier for a thaw in progress.
    pub is_sped_up: bool,
}

/// The answer of S3 to a request for a thaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestResult {
    Accepted,
    /// A thaw is in progress, and the tier that was asked for is not faster.
    InProgress,
    /// The object can be read already.
    NotArchived,
}

impl RequestResult {
    fn state(self) -> ArchiveState {
        match self {
            RequestResult::Accepted | RequestResult::InProgress => ArchiveState::InProgress,
            RequestResult::NotArchived => ArchiveState::NotArchived,
        }
    }
}

/// The answer of S3 about one object.
#[derive(Clone, Debug, Default)]
struct ArchiveInfo {
    class: Option<String>,
    is_archived: bool,
    restore: Option<RestoreStatus>,
}

impl Store {
    /// Requests every object that is archived, and extends copies that expire
    /// before `thaw.days` from `now`. Returns the results in the order of `keys`.
    ///
    /// # Errors
    ///
    /// Nothing was requested, because an object is missing, its class does not
    /// offer the tier, or its state is unknown. If S3 refuses a single object, the
    /// error is in its [`ThawedObject`].
    pub async fn thaw(
        &self,
        keys: &[Key],
        thaw: &ThawRequest,
        now: SystemTime,
    ) -> Result<Vec<ThawedObject>, StoreError> {
        let infos = self.archive_info(keys, thaw.in_flight, thaw.retry_for).await?;
        for (key, info) in &infos {
            if let Some(why) = unsupported_tier(info.class.as_deref(), thaw.tier) {
                return Err(StoreError::new(Operation::Thaw, key, StoreErrorKind::Permanent)
                    .with_cause(why));
            }
        }
        let infos = &infos;
        // With borrowed keys the future would not be `Send`.
        let each = keys.iter().cloned().map(|key| async move {
            let info = &infos[&key];
            if thaw.speeds_up && info.state(now) == ArchiveState::InProgress {
                let asked = self.request_thaw(&key, info, thaw).await;
                let is_sped_up = matches!(asked, Ok(RequestResult::Accepted));
                let outcome = asked.map(RequestResult::state);
                return ThawedObject { key, outcome, is_sped_up };
            }
            let outcome = self.thaw_one(&key, info, thaw, now).await;
            ThawedObject { key, outcome, is_sped_up: false }
        });
        Ok(futures::stream::iter(each).buffered(thaw.in_flight.max(1)).collect().await)
    }

    /// Returns the state of each object. Costs one call for every 1,000 objects
    /// that lie beside these, if the server reports thaws in listings.
    ///
    /// # Errors
    ///
    /// An object is missing, or its state is unknown.
    pub async fn archive_states(
        &self,
        keys: &[Key],
        in_flight: usize,
        retry_for: Duration,
        now: SystemTime,
    ) -> Result<BTreeMap<Key, ArchiveState>, StoreError> {
        let infos = self.archive_info(keys, in_flight, retry_for).await?;
        Ok(infos.into_iter().map(|(key, info)| (key, info.state(now))).collect())
    }

    async fn thaw_one(
        &self,
        key: &Key,
        info: &ArchiveInfo,
        thaw: &ThawRequest,
        now: SystemTime,
    ) -> Result<ArchiveState, StoreError> {
        let state = info.state(now);
        match state.thaw_action(thaw.days, now) {
            ThawAction::Nothing => Ok(state),
            ThawAction::Request => Ok(self.request_thaw(key, info, thaw).await?.state()),
            ThawAction::Extend => {
                self.request_thaw(key, info, thaw).await?;
                Ok(self.archive_info_by_head(key, thaw.retry_for).await?.state(now))
            }
        }
    }

    async fn request_thaw(
        &self,
        key: &Key,
        info: &ArchiveInfo,
        thaw: &ThawRequest,
    ) -> Result<RequestResult, StoreError> {
        let request = restore_request(info.class.as_deref(), thaw);
        self.retry(thaw.retry_for, || {
            let restore = self.client.restore_object().bucket(self.bucket()).key(key.as_str());
            let restore = restore.restore_request(request.clone());
            self.call(Operation::Thaw, key, async move {
                match restore.send().await {
                    Ok(_) => Ok(RequestResult::Accepted),
                    // Another process requested it, or an earlier attempt whose
                    // answer was lost.
                    Err(err) if err.code() == Some("RestoreAlreadyInProgress") => {
                        Ok(RequestResult::InProgress)
                    }
                    // It was read meanwhile, which moved it out of its archive tier.
                    Err(err) if err.code() == Some("ObjectAlreadyInActiveTierError") => {
                        Ok(RequestResult::NotArchived)
                    }
                    Err(err) => Err(err),
                }
            })
        })
        .await
    }

    async fn archive_info(
        &self,
        keys: &[Key],
        in_flight: usize,
        retry_for: Duration,
    ) -> Result<BTreeMap<Key, ArchiveInfo>, StoreError> {
        let mut infos = self.archive_info_by_listing(keys, retry_for).await?;
        let listing_reports_thaws = self.settings.profile == Profile::Aws
            || infos.values().any(|info| info.restore.is_some());
        let unknown = keys.iter().filter(|key| {
            infos.get(*key).is_none_or(|info| {
                needs_head(info.class.as_deref(), info.restore, listing_reports_thaws)
            })
        });
        let unknown: BTreeSet<_> = unknown.cloned().collect();
        let heads = unknown.into_iter().map(|key| async move {
            self.archive_info_by_head(&key, retry_for).await.map(|info| (key, info))
        });
        let heads = futures::stream::iter(heads).buffer_unordered(in_flight.max(1));
        infos.extend(heads.try_collect::<Vec<_>>().await?);
        self.find_archived_in_name_only(&mut infos, in_flight, retry_for).await;
        Ok(infos)
    }

    /// Corrects objects that have an archive class and can be read: some servers return
    /// every class that they were asked for, and serve the object. If the first one
    /// is refused, the server has archives, and no other is asked for.
    async fn find_archived_in_name_only(
        &self,
        infos: &mut BTreeMap<Key, ArchiveInfo>,
        in_flight: usize,
        retry_for: Duration,
    ) {
        if !self.may_archive_in_name_only() {
            return;
        }
        let archived = infos.iter().filter(|(_, info)| info.is_archived && info.restore.is_none());
        let mut archived: Vec<Key> = archived.map(|(key, _)| key.clone()).collect();
        let Some(first) = archived.pop() else { return };
        let archive = match self.first_byte(&first, retry_for).await {
            Ok(()) => Archive::InNameOnly,
            Err(err) if err.kind == StoreErrorKind::Archived => Archive::Archives,
            Err(err) => {
                tracing::debug!(event = "archive_unknown", key = %first, "{err}");
                return;
            }
        };
        self.learned.learn(|known| known.archive = archive);
        if archive == Archive::Archives {
            return;
        }
        tracing::warn!(
            event = "archive_in_name_only",
            key = %first,
            "this server serves objects of an archive class at once: they need no thaw"
        );
        let others = archived.into_iter().map(|key| async move {
            self.first_byte(&key, retry_for).await.is_ok().then_some(key)
        });
        let others = futures::stream::iter(others).buffer_unordered(in_flight.max(1));
        let readable: Vec<_> = others.filter_map(futures::future::ready).collect().await;
        for key in readable.iter().chain([&first]) {
            if let Some(info) = infos.get_mut(key) {
                info.is_archived = false;
            }
        }
    }

    async fn archive_info_by_listing(
        &self,
        keys: &[Key],
        retry_for: Duration,
    ) -> Result<BTreeMap<Key, ArchiveInfo>, StoreError> {
        let by_name: BTreeMap<&str, &Key> = keys.iter().map(|key| (key.as_str(), key)).collect();
        let mut infos = BTreeMap::new();
        for directory in dirs(by_name.keys().copied()) {
            let mut listing = self.list(directory, retry_for);
            listing.request_attribute(OptionalObjectAttributes::RestoreStatus);
            while let Some(page) = listing.next_raw_page().await? {
                for object in page {
                    if let Some(key) = object.key().and_then(|key| by_name.get(key)) {
                        infos.insert((*key).clone(), ArchiveInfo::of(&object));
                    }
                }
            }
        }
        Ok(infos)
    }

    async fn archive_info_by_head(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<ArchiveInfo, StoreError> {
        let Some(head) = self.head_raw(key, None, retry_for).await? else {
            return Err(StoreError::new(Operation::Thaw, key, StoreErrorKind::NotFound));
        };
        let class = head.storage_class.map(|class| class.as_str().to_owned());
        Ok(ArchiveInfo {
            // INTELLIGENT_TIERING has archive tiers of its own.
            is_archived: is_archive_class(class.as_deref()) || head.archive_status.is_some(),
            class,
            restore: head.restore.as_deref().and_then(parse_restore),
        })
    }
}

impl ArchiveInfo {
    fn of(object: &Object) -> ArchiveInfo {
        let restore = object.restore_status().and_then(|status| {
            if status.is_restore_in_progress() == Some(true) {
                return Some(RestoreStatus::InProgress);
            }
            let expires_at = SystemTime::try_from(*status.restore_expiry_date()?).ok()?;
            Some(RestoreStatus::Done { expires_at })
        });
        let class = object.storage_class().map(|class| class.as_str().to_owned());
        ArchiveInfo { is_archived: is_archive_class(class.as_deref()), class, restore }
    }

    fn state(&self, now: SystemTime) -> ArchiveState {
        ArchiveState::of(self.is_archived, self.restore, now)
    }
}

fn restore_request(class: Option<&str>, thaw: &ThawRequest) -> RestoreRequest {
    let tier = match thaw.tier {
        Tier::Expedited => SdkTier::Expedited,
        Tier::Standard => SdkTier::Standard,
        Tier::Bulk => SdkTier::Bulk,
    };
    let job = GlacierJobParameters::builder().tier(tier).build();
    // Only the archive classes make copies that expire.
    let days = is_archive_class(class).then(|| i32::try_from(thaw.days).unwrap_or(i32::MAX));
    RestoreRequest::builder().set_days(days).set_glacier_job_parameters(job.ok()).build()
}

/// Returns the directories of the keys, so that few listings find them all.
fn dirs<'a>(keys: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    keys.map(|key| key.rfind('/').map_or("", |slash| &key[..=slash])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_by_their_directories() {
        let keys = ["b/2/x", "a", "b/1/x", "b/1/y", "b/x"];
        assert_eq!(Vec::from_iter(dirs(keys.into_iter())), ["", "b/", "b/1/", "b/2/"]);
    }
}
