//! RestoreObject. The record of the object contains both instants of the restore,
//! so a restore survives a restart.

use std::sync::Arc;
use std::time::Duration;

use s3s::{S3Error, S3Result};

use crate::behaviours::Archive;
use crate::model::archive::{ArchiveState, RestoreAction, RestoreTerms, Tier, decide};
use crate::model::record::{Content, Object, Version};
use crate::storage::objects::find;
use crate::storage::refusal::refusal;
use crate::storage::store::Store;

/// The effect of a restore request on the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestoreOutcome {
    Started,
    Extended,
}

impl Store {
    pub(crate) fn set_restore_delay(&self, delay: Duration) {
        *self.restore_delay.lock().expect("no holder of this lock panics") = delay;
    }

    pub(crate) fn archive_state_of(&self, object: &Object) -> ArchiveState {
        if self.behaviours.archive != Archive::Frozen {
            return ArchiveState::Active;
        }
        let class = object.attributes.storage_class.as_deref();
        ArchiveState::of(class, object.restore.as_ref(), self.clock.time())
    }

    pub(crate) fn restore(
        &self,
        bucket_name: &str,
        key: &str,
        version_id: Option<&str>,
        terms: RestoreTerms,
    ) -> S3Result<RestoreOutcome> {
        if let Archive::Served { restore } = self.behaviours.archive {
            return Err(refusal(restore));
        }
        let delay = *self.restore_delay.lock().expect("no holder of this lock panics");
        let mut state = self.state()?;
        let bucket = state.bucket_mut(bucket_name)?;
        let found = find(bucket, key, version_id)?;
        let object = found.object();
        let class = object.attributes.storage_class.as_deref();
        let now = self.clock.time();
        let tier = object.restore.as_ref().map_or(Tier::default(), |restore| restore.tier);
        let state_now = (self.archive_state_of(object), tier);
        let action = decide(class, state_now, terms, now, delay)?;
        let (restore, outcome) = match action {
            RestoreAction::Start(restore) => (restore, RestoreOutcome::Started),
            RestoreAction::Extend(restore) => (restore, RestoreOutcome::Extended),
        };
        let object = Object { restore: Some(restore), ..object.clone() };
        let content = Content::Object(Box::new(object));
        let version = Arc::new(Version { content, ..(*found.version).clone() });
        let record = self.disk.version_record(bucket_name, key, &version.id);
        self.disk.write(&record, &*version).map_err(S3Error::internal_error)?;
        bucket.replace(version);
        Ok(outcome)
    }
}
