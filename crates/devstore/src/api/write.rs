//! Calls that write or delete objects, except multipart uploads.

use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, TrailingHeaders, dto};

use super::Api;
use super::fields::{
    attributes_of, checksum_of, condition_headers, fill_checksum, kind, trailer, trailing,
};
use crate::behaviours::{Checksums, ConditionBehaviour, Encryption};
use crate::model::digest::{Algorithm, Claims};
use crate::model::precondition::Precondition;
use crate::model::record::{Attributes, Versioning};
use crate::storage::objects::Deleted;
use crate::storage::receive::{Received, receive};

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
const DELETE_BATCH_MAX: usize = 1000;
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
const METADATA_BYTES_MAX: usize = 2048;

/// A body, and all that the request says about it.
pub(super) struct IncomingBody {
    pub(super) body: Option<StreamingBlob>,
    pub(super) len: Option<i64>,
    pub(super) claims: Claims,
    /// Checksum that follows the body as a trailer.
    pub(super) trailing: Option<Algorithm>,
    pub(super) trailers: Option<TrailingHeaders>,
    /// Algorithm to use if the client claims no checksum.
    pub(super) algorithm: Algorithm,
}

impl Api {
    pub(super) async fn put(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<dto::PutObjectOutput> {
        let S3Request { input, headers, trailing_headers, .. } = request;
        let attributes: Attributes = attributes_of!(input, self.behaviours());
        check_metadata(&attributes)?;
        let claims = Claims { md5: input.content_md5.clone(), checksum: checksum_of!(input)? };
        let incoming = IncomingBody {
            trailing: trailing(&headers, &claims)?,
            claims,
            algorithm: Algorithm::Crc64Nvme,
            body: input.body,
            len: input.content_length,
            trailers: trailing_headers,
        };
        let is_if_match = input.if_match.is_some();
        let conditions = condition_headers(&headers, input.if_match, input.if_none_match);
        let precondition = conditions.precondition(self.put_conditions(&input.bucket).await?)?;
        let received = self.receive_body(incoming).await?;
        let (bucket, key) = (input.bucket, input.key);
        let put =
            self.work(move |store| store.put(&bucket, &key, attributes, received, &precondition));
        let put = put.await.map_err(|error| self.write_error(error, is_if_match))?;
        let object = put.object();
        let tells_sse = self.behaviours().encryption == Encryption::Reported;
        let mut output = dto::PutObjectOutput {
            e_tag: Some(dto::ETag::Strong(object.etag.clone())),
            server_side_encryption: object
                .attributes
                .sse
                .clone()
                .filter(|_| tells_sse)
                .map(Into::into),
            ssekms_key_id: object.attributes.sse_kms_key_id.clone().filter(|_| tells_sse),
            version_id: put.shown_id.clone(),
            ..Default::default()
        };
        if self.behaviours().checksums == Checksums::Verified {
            output.checksum_type = Some(kind(&object.checksum));
            fill_checksum!(output, object.checksum);
        }
        Ok(output)
    }

    /// Returns how a bucket treats the conditions of a PUT; it has to exist.
    async fn put_conditions(&self, bucket: &str) -> S3Result<ConditionBehaviour> {
        let bucket = bucket.to_owned();
        let found = self.work(move |store| Ok(store.state()?.bucket(&bucket)?.record.versioning));
        Ok(match found.await? {
            Versioning::Off => self.behaviours().put_conditions,
            Versioning::Enabled | Versioning::Suspended => {
                self.behaviours().put_conditions_with_versions
            }
        })
    }

    /// Receives a whole body, and refuses it if it does not match its claims.
    pub(super) async fn receive_body(&self, incoming: IncomingBody) -> S3Result<Received> {
        let IncomingBody { body, len, mut claims, trailing, trailers, algorithm } = incoming;
        claims.check_form()?;
        let claimed = claims.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        let algorithm = claimed.or(trailing).unwrap_or(algorithm);
        let file = self.work(|store| store.disk.temporary().map_err(S3Error::internal_error));
        let mut received = receive(file.await?, body, algorithm).await?;
        if len.is_some_and(|len| u64::try_from(len) != Ok(received.len)) {
            let message = "The length of the body does not match its announced length.";
            return Err(S3Error::with_message(S3ErrorCode::IncompleteBody, message));
        }
        if let Some(algorithm) = trailing {
            claims.checksum = Some((algorithm, trailer(algorithm, trailers.as_ref())?));
            claims.check_form()?;
        }
        let claimed = match self.behaviours().checksums {
            Checksums::Verified => None,
            Checksums::Ignored | Checksums::Repeated => Some(claims.checksum.take()),
        };
        claims.check(&received.digests)?;
        if let Some(claimed) = claimed {
            received.repeat(claimed, self.behaviours().checksums);
        }
        Ok(received)
    }

    pub(super) async fn delete(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<dto::DeleteObjectOutput> {
        let dto::DeleteObjectInput { bucket, key, version_id, if_match, .. } = request.input;
        let precondition = Precondition::parse(if_match, None)?;
        let deleted = self
            .work(move |store| store.delete(&bucket, &key, version_id.as_deref(), &precondition));
        let Deleted { shown_id, is_delete_marker } = deleted.await?;
        Ok(dto::DeleteObjectOutput {
            delete_marker: is_delete_marker.then_some(true),
            version_id: shown_id,
            ..Default::default()
        })
    }

    pub(super) async fn delete_batch(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<dto::DeleteObjectsOutput> {
        let has_md5 = request.headers.contains_key("content-md5");
        if self.behaviours().delete_batch_needs_md5 && !has_md5 {
            let message = "Missing required header for this request: Content-MD5";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.is_empty() || delete.objects.len() > DELETE_BATCH_MAX {
            let message = "The list of objects is empty or longer than 1000.";
            return Err(S3Error::with_message(S3ErrorCode::MalformedXML, message));
        }
        self.check_bucket(bucket.clone()).await?;
        let is_quiet = delete.quiet.unwrap_or(false);
        let done = self.work(move |store| {
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in delete.objects {
                let condition = object.e_tag.clone().map(dto::ETagCondition::ETag);
                let result = Precondition::parse(condition, None).and_then(|precondition| {
                    let id = object.version_id.as_deref();
                    store.delete(&bucket, &object.key, id, &precondition)
                });
                match result {
                    Ok(done) => deleted.push(deleted_entry(object, done)),
                    Err(error) => errors.push(error_entry(object, &error)),
                }
            }
            Ok((deleted, errors))
        });
        let (deleted, errors) = done.await?;
        Ok(dto::DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            errors: Some(errors),
            request_charged: None,
        })
    }
}

pub(super) fn check_metadata(attributes: &Attributes) -> S3Result<()> {
    let bytes: usize = attributes.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes <= METADATA_BYTES_MAX {
        return Ok(());
    }
    let message = format!("The metadata is {bytes} bytes long, the limit is {METADATA_BYTES_MAX}.");
    Err(S3Error::with_message(S3ErrorCode::MetadataTooLarge, message))
}

fn deleted_entry(object: dto::ObjectIdentifier, done: Deleted) -> dto::DeletedObject {
    let marker_id = if done.is_delete_marker { done.shown_id } else { None };
    dto::DeletedObject {
        delete_marker: done.is_delete_marker.then_some(true),
        delete_marker_version_id: marker_id,
        key: Some(object.key),
        version_id: object.version_id,
    }
}

fn error_entry(object: dto::ObjectIdentifier, error: &S3Error) -> dto::Error {
    dto::Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(object.key),
        message: error.message().map(str::to_owned),
        version_id: object.version_id,
    }
}
