//! CopyObject: reads an object and stores it under another key, or with other
//! attributes. As in S3, the copy has a single part. Its checksum algorithm is
//! that of the request, or else that of the source.

use s3s::dto::{CopySource, MetadataDirective, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, dto};
use s3up_core::part::PART_BYTES_MAX;

use super::Api;
use super::fields::{
    attributes_of, fill_checksum, invalid, kind, parse_algorithm, sse, storage_class,
};
use super::read::RequestConditions;
use super::write::{IncomingBody, check_metadata};
use crate::behaviours::Behaviours;
use crate::model::digest::Claims;
use crate::model::precondition::Precondition;
use crate::model::record::Attributes;
use crate::storage::objects::FoundVersion;

struct Source {
    bucket: String,
    key: String,
    version_id: Option<String>,
}

impl Api {
    pub(super) async fn copy(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<dto::CopyObjectOutput> {
        let input = request.input;
        let source = source(&input.copy_source)?;
        let is_in_place = source.version_id.is_none()
            && (&source.bucket, &source.key) == (&input.bucket, &input.key);
        let conditions = RequestConditions {
            if_match: input.copy_source_if_match.clone(),
            if_none_match: input.copy_source_if_none_match.clone(),
        };
        let opened = self.work(move |store| {
            store.open_object(&source.bucket, &source.key, source.version_id.as_deref(), |object| {
                // A condition that gives a reader 304 is a failed precondition here.
                conditions.check(object, true).map_err(|_| crate::model::precondition::failed())?;
                check_len(object.len).map(|()| 0..object.len)
            })
        });
        let (found, _, reader) = opened.await?;
        if is_in_place && !changes_something(&input) {
            return Err(invalid(
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes.",
            ));
        }
        let attributes = attributes(&input, &found.object().attributes, self.behaviours())?;
        check_metadata(&attributes)?;
        let of_source = found.object().checksum.algorithm;
        let algorithm = parse_algorithm(input.checksum_algorithm.as_ref())?.unwrap_or(of_source);
        let received = self.receive_body(IncomingBody {
            body: Some(StreamingBlob::wrap(reader.into_stream())),
            len: None,
            claims: Claims::default(),
            trailing: None,
            trailers: None,
            algorithm,
        });
        let received = received.await?;
        let (bucket, key) = (input.bucket, input.key);
        let put = self
            .work(move |store| store.put(&bucket, &key, attributes, received, &Precondition::None));
        Ok(output(&put.await?, found.shown_id))
    }
}

fn source(given: &CopySource) -> S3Result<Source> {
    match given {
        CopySource::Bucket { bucket, key, version_id } => Ok(Source {
            bucket: bucket.to_string(),
            key: key.to_string(),
            version_id: version_id.as_ref().map(ToString::to_string),
        }),
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            let message = "This server does not implement access points.";
            Err(S3Error::with_message(S3ErrorCode::NotImplemented, message))
        }
    }
}

fn check_len(len: u64) -> S3Result<()> {
    match len <= PART_BYTES_MAX {
        true => Ok(()),
        false => Err(invalid(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: 5368709120",
        )),
    }
}

fn changes_something(input: &dto::CopyObjectInput) -> bool {
    replaces_metadata(input)
        || input.storage_class.is_some()
        || input.server_side_encryption.is_some()
}

fn replaces_metadata(input: &dto::CopyObjectInput) -> bool {
    let directive = input.metadata_directive.as_ref().map(MetadataDirective::as_str);
    directive == Some(MetadataDirective::REPLACE)
}

/// Returns the attributes of the copy. Storage class and encryption always come
/// from the request.
fn attributes(
    input: &dto::CopyObjectInput,
    of_source: &Attributes,
    behaviours: &Behaviours,
) -> S3Result<Attributes> {
    if replaces_metadata(input) {
        return Ok(attributes_of!(input, behaviours));
    }
    Ok(Attributes {
        storage_class: storage_class(input.storage_class.as_ref(), behaviours.classes)?,
        sse: sse(input.server_side_encryption.as_ref(), behaviours.encryption)?,
        sse_kms_key_id: input.ssekms_key_id.clone(),
        ..of_source.clone()
    })
}

fn output(put: &FoundVersion, source_version_id: Option<String>) -> dto::CopyObjectOutput {
    let object = put.object();
    let mut result = dto::CopyObjectResult {
        checksum_type: Some(kind(&object.checksum)),
        e_tag: Some(dto::ETag::Strong(object.etag.clone())),
        last_modified: Some(put.version.written_at.clone()),
        ..Default::default()
    };
    fill_checksum!(result, object.checksum);
    dto::CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_version_id,
        server_side_encryption: object.attributes.sse.clone().map(Into::into),
        ssekms_key_id: object.attributes.sse_kms_key_id.clone(),
        version_id: put.shown_id.clone(),
        ..Default::default()
    }
}
