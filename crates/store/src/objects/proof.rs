//! Facts about an object that is about to be the only copy of a file.

use std::time::Duration;

use s3up_core::Key;
use s3up_core::storage_class::is_archive_class;

use crate::error::StoreError;
use crate::objects::facts::ObjectFacts;
use crate::objects::head::facts_of;
use crate::transport::connect::Store;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectProof {
    pub facts: ObjectFacts,
    /// True if S3 refuses to read it until it is thawed, or stored it in an archive class and keeps a
    /// thawed copy for some days.
    pub is_archived: bool,
    /// Date and rule by which S3 will delete it, if S3 reports one (`x-amz-expiration`).
    pub expiration: Option<String>,
}

impl Store {
    /// Asks S3 for the newest version of `key`, with its checksum. Returns `None` if there is no such
    /// object.
    pub async fn prove(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<Option<ObjectProof>, StoreError> {
        let Some(head) = self.head_raw(key, None, retry_for).await? else { return Ok(None) };
        let expiration = head.expiration.clone().filter(|text| !text.is_empty());
        let has_archive_tier = head.archive_status.is_some();
        let facts = facts_of(key, head)?;
        let is_archived = has_archive_tier || is_archive_class(facts.storage_class.as_deref());
        Ok(Some(ObjectProof { facts, is_archived, expiration }))
    }
}
