//! Small objects, each read and written as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::Key;

use crate::connect::Store;
use crate::cut::Length;
use crate::download::Get;
use crate::error::{Kind, StoreError, UploadError};
use crate::facts::ObjectFacts;
use crate::put::{Overwrite, Put, Stored};

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
    /// User metadata, ASCII only.
    pub metadata: BTreeMap<String, String>,
    pub storage_class: Option<String>,
    pub overwrite: Overwrite,
    /// How long a failing call is repeated.
    pub retry_for: Duration,
}

impl Store {
    /// Reads an object of at most `bytes_max`; `None` where there is none.
    pub async fn read(
        &self,
        key: &Key,
        bytes_max: u64,
        retry_for: Duration,
    ) -> Result<Option<Document>, StoreError> {
        match self.read_once(key, bytes_max, retry_for).await {
            // Damaged on the way, or replaced between two calls.
            Err(err) if matches!(err.kind, Kind::Corrupt | Kind::Precondition) => {
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
            let what = format!("it is {} bytes long, the limit is {bytes_max}", facts.size);
            return Err(StoreError::new("read", key, Kind::TooLong).because(what));
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
