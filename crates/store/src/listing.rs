//! What is in the bucket, by the order of its keys.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::{Object, OptionalObjectAttributes};

use crate::connect::Store;
use crate::error::StoreError;

/// An object as a listing names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As S3 has it: not every key in a bucket is one of ours.
    pub key: String,
    /// Bytes.
    pub size: u64,
    pub etag: String,
    pub modified_at: SystemTime,
    /// `None`: STANDARD.
    pub storage_class: Option<String>,
}

/// The objects under a prefix, a page at a time, in the order of their keys.
pub struct Listing {
    store: Store,
    prefix: String,
    retry_for: Duration,
    also: Option<OptionalObjectAttributes>,
    next: Next,
}

enum Next {
    First,
    After(String),
    Nothing,
}

impl Store {
    /// All objects whose key starts with `prefix`.
    pub fn list(&self, prefix: &str, retry_for: Duration) -> Listing {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        Listing { store, prefix, retry_for, also: None, next: Next::First }
    }
}

impl Store {
    /// What a listing is of, for its errors.
    pub(crate) fn subject_of(&self, prefix: &str) -> String {
        match prefix {
            "" => format!("bucket {}", self.bucket()),
            prefix => prefix.to_owned(),
        }
    }
}

impl Listing {
    /// The next page, of at most 1,000 objects; `None` after the last.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Listed>>, StoreError> {
        let page = self.next_raw_page().await?;
        Ok(page.map(|page| page.into_iter().map(Listed::of).collect()))
    }

    pub(crate) fn ask_also(&mut self, attribute: OptionalObjectAttributes) {
        self.also = Some(attribute);
    }

    pub(crate) async fn next_raw_page(&mut self) -> Result<Option<Vec<Object>>, StoreError> {
        let token = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::First => None,
            Next::After(token) => Some(token),
            Next::Nothing => return Ok(None),
        };
        let store = &self.store;
        let subject = store.subject_of(&self.prefix);
        let page = store.retry(self.retry_for, || {
            let list = store.client.list_objects_v2().bucket(store.bucket());
            let list = list.prefix(&self.prefix).set_continuation_token(token.clone());
            let list = list.set_optional_object_attributes(self.also.clone().map(|it| vec![it]));
            store.call("list", &subject, list.send())
        });
        let page = page.await?;
        if page.is_truncated == Some(true)
            && let Some(token) = page.next_continuation_token
        {
            self.next = Next::After(token);
        }
        Ok(Some(page.contents.unwrap_or_default()))
    }
}

impl Listed {
    fn of(object: Object) -> Listed {
        let modified_at = object.last_modified.and_then(|at| SystemTime::try_from(at).ok());
        Listed {
            key: object.key.unwrap_or_default(),
            size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            etag: object.e_tag.unwrap_or_default(),
            modified_at: modified_at.unwrap_or(SystemTime::UNIX_EPOCH),
            storage_class: object.storage_class.map(|class| class.as_str().to_owned()),
        }
    }
}
