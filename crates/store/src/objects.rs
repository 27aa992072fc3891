//! Small objects as a whole, listings, and deletes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use s3up_core::Key;

use crate::connect::Store;
use crate::cut::Length;
use crate::download::Get;
use crate::error::{Kind, StoreError, UploadError};
use crate::facts::ObjectFacts;
use crate::put::{Overwrite, Put, Stored};
use crate::retry::retry;

/// Most documents are one part; a longer one needs no more buffers than this.
const DOCUMENT_PART_BYTES: u64 = 8 << 20;

/// An object that is read into memory as a whole.
#[derive(Clone, Debug)]
pub struct Document {
    pub bytes: Vec<u8>,
    pub facts: ObjectFacts,
}

/// How a document is stored.
#[derive(Clone, Debug)]
pub struct PutDocument {
    pub key: Key,
    pub content_type: &'static str,
    pub storage_class: Option<String>,
    pub overwrite: Overwrite,
    /// How long a failing call is repeated.
    pub retry_for: Duration,
}

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
    next: Next,
}

enum Next {
    First,
    After(String),
    Nothing,
}

impl Store {
    /// Reads an object of at most `bytes_max`; `None` where there is none.
    pub async fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        retry_for: Duration,
    ) -> Result<Option<Document>, StoreError> {
        let Some(facts) = self.head(key, None, retry_for).await? else { return Ok(None) };
        if facts.size > bytes_max {
            let what = format!("it is {} bytes long, the limit is {bytes_max}", facts.size);
            return Err(StoreError::new("read", key, Kind::Permanent).because(what));
        }
        let mut bytes = Vec::with_capacity(facts.size as usize);
        let mut download = self.download(Get {
            key: key.clone(),
            range: 0..facts.size,
            facts: facts.clone(),
            part_bytes: DOCUMENT_PART_BYTES,
            part_sha256: None,
            in_flight: 1,
            retry_for,
            buffer_wait: None,
            share: None,
        });
        while let Some(piece) = download.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(Document { bytes, facts }))
    }

    pub async fn write(&self, put: PutDocument, bytes: &[u8]) -> Result<Stored, UploadError> {
        let len = bytes.len() as u64;
        let put = Put {
            key: put.key,
            length: Length::Exactly(len),
            part_bytes: DOCUMENT_PART_BYTES,
            content_type: Some(put.content_type.to_owned()),
            metadata: BTreeMap::new(),
            expect_sha256: None,
            overwrite: put.overwrite,
            storage_class: put.storage_class,
            in_flight: 1,
            retry_for: put.retry_for,
            buffer_wait: None,
            share: None,
        };
        self.upload(put, bytes).await
    }

    /// All objects whose key starts with `prefix`.
    pub fn list(&self, prefix: &str, retry_for: Duration) -> Listing {
        Listing { store: self.clone(), prefix: prefix.to_owned(), retry_for, next: Next::First }
    }

    /// Deletes an object. One that is not there is no error.
    pub async fn delete(&self, key: &Key, retry_for: Duration) -> Result<(), StoreError> {
        let call = || async {
            let delete = self.client.delete_object().bucket(self.bucket()).key(key.as_str());
            delete.send().await.map_err(|err| StoreError::of_sdk("delete", key, &err))
        };
        match retry(retry_for, call).await {
            Ok(_) => Ok(()),
            Err(err) if err.kind == Kind::NotFound => Ok(()),
            Err(err) => Err(err),
        }
    }
}

impl Listing {
    /// The next page, of at most 1,000 objects; `None` after the last.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Listed>>, StoreError> {
        let token = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::First => None,
            Next::After(token) => Some(token),
            Next::Nothing => return Ok(None),
        };
        let store = &self.store;
        let page = retry(self.retry_for, || async {
            let list = store.client.list_objects_v2().bucket(store.bucket());
            let list = list.prefix(&self.prefix).set_continuation_token(token.clone());
            list.send().await.map_err(|err| StoreError::of_sdk("list", &self.prefix, &err))
        })
        .await?;
        if page.is_truncated == Some(true)
            && let Some(token) = page.next_continuation_token
        {
            self.next = Next::After(token);
        }
        let listed = page.contents.unwrap_or_default().into_iter().map(|object| Listed {
            key: object.key.unwrap_or_default(),
            size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            etag: object.e_tag.unwrap_or_default(),
            modified_at: object
                .last_modified
                .and_then(|at| SystemTime::try_from(at).ok())
                .unwrap_or(SystemTime::UNIX_EPOCH),
            storage_class: object.storage_class.map(|class| class.as_str().to_owned()),
        });
        Ok(Some(listed.collect()))
    }
}
