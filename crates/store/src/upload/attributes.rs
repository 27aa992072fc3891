//! The attributes of an object besides its bytes, in the types of the SDK.

use std::collections::HashMap;

use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use s3up_core::Sha256Digest;

use crate::objects::head::SHA256_METADATA;
use crate::settings::Sse;
use crate::transport::connect::Store;
use crate::upload::put::Put;

pub(crate) struct Attributes {
    pub content_type: Option<String>,
    pub metadata: HashMap<String, String>,
    pub storage_class: Option<StorageClass>,
    pub sse: Option<ServerSideEncryption>,
    pub kms_key_id: Option<String>,
}

impl Attributes {
    pub(crate) fn of(store: &Store, put: &Put, sha256: Option<Sha256Digest>) -> Attributes {
        let mut metadata: HashMap<_, _> = put.metadata.clone().into_iter().collect();
        if let Some(sha256) = sha256 {
            metadata.insert(SHA256_METADATA.to_owned(), sha256.to_string());
        }
        let (sse, kms_key_id) = match &store.settings.sse {
            Sse::Unset => (None, None),
            Sse::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Sse::Kms { key_id } => (Some(ServerSideEncryption::AwsKms), key_id.clone()),
        };
        let storage_class = put.storage_class.as_deref();
        let storage_class = storage_class.or(store.settings.storage_class.as_deref());
        Attributes {
            content_type: put.content_type.clone(),
            metadata,
            storage_class: storage_class.map(StorageClass::from),
            sse,
            kms_key_id,
        }
    }
}
