//! The attributes of an object besides its bytes, in the types of the SDK.

use std::collections::HashMap;

use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use s3up_core::Sha256Digest;

use crate::error::{StoreError, StoreErrorKind};
use crate::objects::head::SHA256_METADATA;
use crate::settings::Sse;
use crate::transport::connect::Store;
use crate::upload::put::Put;

/// The code of a refusal, without a sentence.
const INVALID_ARGUMENT: &str = "InvalidArgument";

#[derive(Default)]
pub(crate) struct ObjectAttributes {
    pub content_type: Option<String>,
    pub metadata: HashMap<String, String>,
    pub storage_class: Option<StorageClass>,
    pub sse: Option<ServerSideEncryption>,
    pub kms_key_id: Option<String>,
}

impl Store {
    /// Adds what was asked for to a refusal that gives no reason, as RGW does for a
    /// class that it does not have.
    pub(crate) fn with_attributes(&self, put: &Put, err: StoreError) -> StoreError {
        let said = err.source.as_ref().map(ToString::to_string).unwrap_or_default();
        if err.kind != StoreErrorKind::Permanent || said != INVALID_ARGUMENT {
            return err;
        }
        let class = put.storage_class.as_deref().or(self.settings.storage_class.as_deref());
        let sse = match &self.settings.sse {
            Sse::Unset => "none",
            Sse::Aes256 => "AES256",
            Sse::Kms { .. } => "aws:kms",
        };
        let class = class.unwrap_or("none");
        err.with_cause(format!("{said} (requested: storage class {class}, encryption {sse})"))
    }
}

impl ObjectAttributes {
    pub(crate) fn of(store: &Store, put: &Put, sha256: Option<Sha256Digest>) -> ObjectAttributes {
        let mut metadata: HashMap<_, _> = put.metadata.clone().into_iter().collect();
        if let Some(sha256) = sha256 {
            metadata.insert(SHA256_METADATA.to_owned(), sha256.to_string());
        }
        let storage_class = put.storage_class.as_deref();
        let storage_class = storage_class.or(store.settings.storage_class.as_deref());
        ObjectAttributes {
            content_type: put.content_type.clone(),
            metadata,
            storage_class: storage_class.map(StorageClass::from),
            ..ObjectAttributes::of_sse(&store.settings.sse)
        }
    }

    /// Returns the attributes that request this encryption, and no others.
    pub(crate) fn of_sse(sse: &Sse) -> ObjectAttributes {
        let (sse, kms_key_id) = match sse {
            Sse::Unset => (None, None),
            Sse::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Sse::Kms { key_id } => (Some(ServerSideEncryption::AwsKms), key_id.clone()),
        };
        ObjectAttributes { sse, kms_key_id, ..ObjectAttributes::default() }
    }
}
