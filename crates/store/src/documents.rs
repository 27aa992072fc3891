//! Documents: small objects that are read and written as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::Key;

use crate::download::get::Get;
use crate::error::{Operation, StoreError, StoreErrorKind, UploadError};
use crate::objects::facts::ObjectFacts;
use crate::overwrite::Overwrite;
use crate::transport::connect::Store;
use crate::upload::part_splitter::Length;
use crate::upload::put::{Put, Stored};

/// Most documents fit into one part, and longer ones need no larger buffers.
const DOCUMENT_PART_BYTES: u64 = 8 << 20;

/// An object that was read into memory as a whole.
#[derive(Clone, Debug)]
pub struct Document {
    pub bytes: Vec<u8>,
    pub facts: ObjectFacts,
}

/// Settings of storing a document.
#[derive(Clone, Debug)]
pub struct PutDocument {
    pub key: Key,
    pub content_type: &'static str,
    /// User metadata, ASCII only.
    pub metadata: BTreeMap<String, String>,
    pub storage_class: Option<String>,
    pub overwrite: Overwrite,
    /// Time for which a failing call is retried.
    pub retry_for: Duration,
}

impl Store {
    /// Reads an object of at most `bytes_max` bytes. Returns `None` if there is no
    /// such object.
    pub async fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        retry_for: Duration,
    ) -> Result<Option<Document>, StoreError> {
        match self.read_once(key, bytes_max, retry_for).await {
            // It was damaged in transit, or replaced between two calls.
            Err(err)
                if matches!(err.kind, StoreErrorKind::Corrupt | StoreErrorKind::Precondition) =>
            {
                self.read_once(key, bytes_max, retry_for).await
            }
            outcome => outcome,
        }
    }

    async fn read_once(
        &self,
        key: &Key,
        bytes_max: u64,
        retry_for: Duration,
    ) -> Result<Option<Document>, StoreError> {
        let Some(facts) = self.head(key, None, retry_for).await? else { return Ok(None) };
        if facts.size > bytes_max {
            let what = format!("expected at most {bytes_max} bytes, found {}", facts.size);
            return Err(
                StoreError::new(Operation::Read, key, StoreErrorKind::TooLong).with_cause(what)
            );
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
        while let Some(next) = download.next().await? {
            bytes.extend_from_slice(&next);
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
            metadata: put.metadata,
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
}
