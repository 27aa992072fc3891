//! Lists the objects of the bucket in the order of their keys.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::{EncodingType, Object, OptionalObjectAttributes};
use percent_encoding::percent_decode_str;

use crate::error::{Operation, StoreError};
use crate::transport::connect::Store;

/// An object as a listing describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key as text: not every key in a bucket is a valid [`s3up_core::Key`].
    pub key: String,
    /// In bytes.
    pub size: u64,
    pub etag: String,
    pub modified_at: SystemTime,
    /// `None` means STANDARD.
    pub storage_class: Option<String>,
}

/// The objects below a prefix, one page at a time, in the order of their keys.
pub struct ObjectListing {
    store: Store,
    prefix: String,
    retry_for: Duration,
    extra_attribute: Option<OptionalObjectAttributes>,
    position: Position,
}

enum Position {
    First,
    After(String),
    End,
}

impl Store {
    /// Lists all objects whose key starts with `prefix`.
    pub fn list(&self, prefix: &str, retry_for: Duration) -> ObjectListing {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        ObjectListing { store, prefix, retry_for, extra_attribute: None, position: Position::First }
    }
}

/// One page of a listing that begins after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPage {
    pub objects: Vec<Listed>,
    /// True if no object follows.
    pub is_last: bool,
}

impl Store {
    /// Lists up to `limit` objects, at most 1,000, whose key starts with `prefix` and follows the
    /// key `after`.
    pub async fn list_after(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        retry_for: Duration,
    ) -> Result<ListedPage, StoreError> {
        let subject = self.subject_of(prefix);
        let page = self.retry(retry_for, || {
            let list = self.client.list_objects_v2().bucket(self.bucket()).prefix(prefix);
            // A key may have characters that XML cannot.
            let list = list.encoding_type(EncodingType::Url);
            let list = list.set_start_after(after.map(str::to_owned));
            let list = list.max_keys(i32::try_from(limit).unwrap_or(i32::MAX));
            self.call(Operation::List, &subject, list.send())
        });
        let page = page.await?;
        let is_last = page.is_truncated != Some(true);
        let encoding = page.encoding_type;
        let objects = page.contents.unwrap_or_default().into_iter().map(Listed::of);
        let objects = objects.map(|object| {
            let key = decode_key(&object.key, encoding.as_ref());
            Listed { key, ..object }
        });
        Ok(ListedPage { objects: objects.collect(), is_last })
    }

    /// Names the subject of a listing in its errors.
    pub(crate) fn subject_of(&self, prefix: &str) -> String {
        match prefix {
            "" => format!("bucket {}", self.bucket()),
            prefix => prefix.to_owned(),
        }
    }
}

impl ObjectListing {
    /// Returns the next page of at most 1,000 objects, or `None` after the last.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Listed>>, StoreError> {
        let page = self.next_raw_page().await?;
        Ok(page.map(|page| page.into_iter().map(Listed::of).collect()))
    }

    pub(crate) fn request_attribute(&mut self, attribute: OptionalObjectAttributes) {
        self.extra_attribute = Some(attribute);
    }

    pub(crate) async fn next_raw_page(&mut self) -> Result<Option<Vec<Object>>, StoreError> {
        let token = match std::mem::replace(&mut self.position, Position::End) {
            Position::First => None,
            Position::After(token) => Some(token),
            Position::End => return Ok(None),
        };
        let store = &self.store;
        let subject = store.subject_of(&self.prefix);
        let page = store.retry(self.retry_for, || {
            let list = store.client.list_objects_v2().bucket(store.bucket());
            let list = list.prefix(&self.prefix).set_continuation_token(token.clone());
            let list = list
                .set_optional_object_attributes(self.extra_attribute.clone().map(|it| vec![it]));
            store.call(Operation::List, &subject, list.send())
        });
        let page = page.await?;
        if page.is_truncated == Some(true)
            && let Some(token) = page.next_continuation_token
        {
            self.position = Position::After(token);
        }
        Ok(Some(page.contents.unwrap_or_default()))
    }
}

/// Returns a key of an answer that S3 encoded as it says. S3 writes a space as `+`. A server that
/// does not encode says nothing.
pub(crate) fn decode_key(key: &str, encoding: Option<&EncodingType>) -> String {
    if encoding != Some(&EncodingType::Url) {
        return key.to_owned();
    }
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8_lossy().into_owned()
}

impl Listed {
    pub(super) fn of(object: Object) -> Listed {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_decoded_if_s3_says_that_it_is_encoded() {
        #[rustfmt::skip]
        let cases = [
            ("a%2Fb+c%2B%EF%BF%BE",  Some(&EncodingType::Url), "a/b c+\u{fffe}"),
            ("a%20b",                Some(&EncodingType::Url), "a b"),
            ("a%2Fb+c",              None,                     "a%2Fb+c"),
        ];
        for (key, encoding, want) in cases {
            assert_eq!(decode_key(key, encoding), want);
        }
    }
}
