//! RestoreObject: the record of the object says when its copy is there and
//! when it goes, so a restore survives the end of the process.

use std::sync::Arc;
use std::time::Duration;

use s3s::{S3Error, S3Result};

use crate::archive::{State, Verdict, Wanted, decide};
use crate::objects::find;
use crate::record::{Content, Object, Version};
use crate::store::Store;

/// How a restore was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Started,
    Prolonged,
}

impl Store {
    pub(crate) fn set_restore_delay(&self, delay: Duration) {
        *self.restore_delay.lock().expect("no holder of this lock panics") = delay;
    }

    pub(crate) fn state_of(&self, object: &Object) -> State {
        let class = object.attributes.storage_class.as_deref();
        State::of(class, object.restore.as_ref(), self.clock.time())
    }

    pub(crate) fn restore(
        &self,
        bucket_name: &str,
        key: &str,
        version_id: Option<&str>,
        wanted: Wanted,
    ) -> S3Result<Taken> {
        let delay = *self.restore_delay.lock().expect("no holder of this lock panics");
        let mut state = self.state()?;
        let bucket = state.bucket_mut(bucket_name)?;
        let found = find(bucket, key, version_id)?;
        let object = found.object();
        let class = object.attributes.storage_class.as_deref();
        let now = self.clock.time();
        let verdict = decide(class, self.state_of(object), wanted, now, delay)?;
        let (restore, taken) = match verdict {
            Verdict::Start(restore) => (restore, Taken::Started),
            Verdict::Prolong(restore) => (restore, Taken::Prolonged),
        };
        let object = Object { restore: Some(restore), ..object.clone() };
        let content = Content::Object(Box::new(object));
        let version = Arc::new(Version { content, ..(*found.version).clone() });
        let record = self.disk.version_record(bucket_name, key, &version.id);
        self.disk.write(&record, &*version).map_err(S3Error::internal_error)?;
        bucket.replace(version);
        Ok(taken)
    }
}
