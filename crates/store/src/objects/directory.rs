//! Lists one directory: the objects directly below a prefix, and the directories below it.

use std::time::Duration;

use aws_sdk_s3::types::EncodingType;

use super::listing::{Listed, decode_key};
use crate::error::{Operation, StoreError};
use crate::transport::connect::Store;

/// One page of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPage {
    /// Prefixes that end with a slash.
    pub directories: Vec<String>,
    pub objects: Vec<Listed>,
    /// The token of the next page; `None` on the last one.
    pub next: Option<String>,
}

impl Store {
    /// Lists up to `limit` entries, at most 1,000, of the directory `prefix`, which is empty or ends with a
    /// slash. `token` is that of the page before.
    pub async fn list_directory(
        &self,
        prefix: &str,
        token: Option<&str>,
        limit: usize,
        retry_for: Duration,
    ) -> Result<DirectoryPage, StoreError> {
        let subject = self.subject_of(prefix);
        let page = self.retry(retry_for, || {
            let list = self.client.list_objects_v2().bucket(self.bucket());
            let list = list.prefix(prefix).delimiter("/").encoding_type(EncodingType::Url);
            let list = list.set_continuation_token(token.map(str::to_owned));
            let list = list.max_keys(i32::try_from(limit).unwrap_or(i32::MAX));
            self.call(Operation::List, &subject, list.send())
        });
        let page = page.await?;
        let encoding = page.encoding_type;
        let decode = |key: &str| decode_key(key, encoding.as_ref());
        let directories = page.common_prefixes.unwrap_or_default().into_iter();
        let directories = directories.filter_map(|it| it.prefix.map(|prefix| decode(&prefix)));
        let objects = page.contents.unwrap_or_default().into_iter().map(Listed::of);
        let objects = objects.map(|object| Listed { key: decode(&object.key), ..object });
        let next = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
        Ok(DirectoryPage { directories: directories.collect(), objects: objects.collect(), next })
    }
}
