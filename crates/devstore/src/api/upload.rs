//! Calls on multipart uploads, except listings.

use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::fields::{
    algorithm_name, attributes_of, checksum_of, condition_headers, fill_checksum, invalid, kind,
    parse_algorithm, trailing,
};
use super::write::{IncomingBody, check_metadata};
use super::{AnswerText, Api, with_text};
use crate::behaviours::{Checksums, CompletionETag, Encryption};
use crate::model::assemble::{ExpectedObject, ListedPart};
use crate::model::digest::{Algorithm, ChecksumKind, Claims};
use crate::model::record::Attributes;
use crate::storage::uploads::{NewUpload, UploadName};

const OTHER_ROOT_ELEMENT: AnswerText =
    AnswerText { from: "InitiateMultipartUploadResult", to: "InitiateMultipartUpload" };
const EMPTY_ETAG: AnswerText = AnswerText { from: "<ETag>\"\"</ETag>", to: "<ETag></ETag>" };

impl Api {
    pub(super) async fn start_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let mut input = request.input;
        if !self.verifies() {
            input.checksum_algorithm = None;
            input.checksum_type = None;
        }
        let attributes: Attributes = attributes_of!(input, self.behaviours());
        check_metadata(&attributes)?;
        let algorithm = parse_algorithm(input.checksum_algorithm.as_ref())?;
        let kind = upload_kind(algorithm, input.checksum_type.as_ref())?;
        let mut output = dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            checksum_algorithm: algorithm.map(algorithm_name),
            checksum_type: algorithm.map(|_| dto::ChecksumType::from_static(kind.as_str())),
            server_side_encryption: self.reported_sse(&attributes).map(Into::into),
            ssekms_key_id: attributes.sse_kms_key_id.clone(),
            ..Default::default()
        };
        let new = NewUpload { key: input.key, attributes, algorithm, kind };
        let started = self.work(move |store| store.start_upload(&input.bucket, new));
        output.upload_id = Some(started.await?);
        let is_renamed = !self.behaviours().create_has_its_root_element;
        Ok(with_text(output, is_renamed.then_some(OTHER_ROOT_ELEMENT)))
    }

    pub(super) async fn put_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<dto::UploadPartOutput> {
        let S3Request { input, headers, trailing_headers, .. } = request;
        let number = input.part_number;
        let max = self.behaviours().part_count_max;
        if !u64::try_from(number).is_ok_and(|number| (1..=max).contains(&number)) {
            let message = format!("Part number must be an integer between 1 and {max}, inclusive");
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
        }
        let claims = Claims { md5: input.content_md5.clone(), checksum: checksum_of!(input)? };
        let claimed = claims.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        let trailing = trailing(&headers, &claims)?;
        let name = UploadName { bucket: input.bucket, key: input.key, id: input.upload_id };
        let upload_name = name.clone();
        let upload = self.work(move |store| store.upload(&upload_name).map(|u| u.record)).await?;
        if self.verifies() {
            check_algorithm(upload.algorithm, upload.kind, claimed.or(trailing))?;
        }
        let received = self.receive_body(IncomingBody {
            body: input.body,
            len: input.content_length,
            claims,
            trailing,
            algorithm: upload.algorithm.unwrap_or(Algorithm::Crc64Nvme),
            trailers: trailing_headers,
        });
        let received = received.await?;
        let put = self.work(move |store| store.put_part(&name, number, received));
        let part = put.await?;
        let mut output = dto::UploadPartOutput {
            e_tag: Some(dto::ETag::Strong(part.etag.clone())),
            server_side_encryption: self.reported_sse(&upload.attributes).map(Into::into),
            ssekms_key_id: upload.attributes.sse_kms_key_id,
            ..Default::default()
        };
        if self.verifies() {
            fill_checksum!(output, part.checksum);
        }
        Ok(output)
    }

    pub(super) async fn complete(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let S3Request { input, headers, .. } = request;
        let (listed, expected) = self.claimed(&input)?;
        let is_if_match = input.if_match.is_some();
        let conditions = condition_headers(&headers, input.if_match, input.if_none_match);
        let precondition = conditions.precondition(self.behaviours().completion_conditions)?;
        let name = UploadName { bucket: input.bucket, key: input.key, id: input.upload_id };
        let UploadName { bucket, key, .. } = name.clone();
        let completed =
            self.work(move |store| store.complete_upload(&name, &listed, &expected, &precondition));
        let completed = completed.await.map_err(|error| self.write_error(error, is_if_match))?;
        let object = completed.object();
        let behaviours = self.behaviours();
        let (etag, text) = match behaviours.completion_etag {
            CompletionETag::Same => (object.etag.clone(), None),
            CompletionETag::Empty => (String::new(), Some(EMPTY_ETAG)),
            CompletionETag::Other => (format!("{}-{}", object.etag, object.parts.len()), None),
        };
        let mut output = dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(dto::ETag::Strong(etag)),
            server_side_encryption: self.reported_sse(&object.attributes).map(Into::into),
            ssekms_key_id: object.attributes.sse_kms_key_id.clone(),
            version_id: completed.shown_id.clone().filter(|_| behaviours.completion_tells_version),
            ..Default::default()
        };
        if let Some(checksum) = object.reported_checksum() {
            output.checksum_type = Some(kind(checksum));
            fill_checksum!(output, checksum);
        }
        Ok(with_text(output, text))
    }

    /// Returns the list of parts with which a client completes an upload, and what it
    /// expects of the object.
    fn claimed(
        &self,
        input: &dto::CompleteMultipartUploadInput,
    ) -> S3Result<(Vec<ListedPart>, ExpectedObject)> {
        let listed = input.multipart_upload.clone().and_then(|upload| upload.parts);
        let listed = listed.unwrap_or_default().into_iter().map(listed_part);
        let listed = listed.collect::<S3Result<Vec<_>>>()?;
        let has_checksum = listed.iter().any(|part| part.checksum.is_some());
        if has_checksum && !self.behaviours().completion_takes_checksums {
            return Err(S3Error::new(S3ErrorCode::MalformedXML));
        }
        if !self.verifies() {
            let bare = |part: ListedPart| ListedPart { checksum: None, ..part };
            return Ok((listed.into_iter().map(bare).collect(), ExpectedObject::default()));
        }
        let kind = input.checksum_type.as_ref().map(|kind| ChecksumKind::parse(kind.as_str()));
        let expected = ExpectedObject {
            checksum: checksum_of!(input)?,
            kind: kind.transpose()?,
            len: input.mpu_object_size.and_then(|len| u64::try_from(len).ok()),
        };
        Ok((listed, expected))
    }

    fn verifies(&self) -> bool {
        self.behaviours().checksums == Checksums::Verified
    }

    /// Returns the encryption in answers to writes.
    fn reported_sse(&self, attributes: &Attributes) -> Option<String> {
        let is_reported = self.behaviours().encryption == Encryption::Reported;
        attributes.sse.clone().filter(|_| is_reported)
    }

    pub(super) async fn abort(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<dto::AbortMultipartUploadOutput> {
        let dto::AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        let name = UploadName { bucket, key, id: upload_id };
        self.work(move |store| store.abort_upload(&name)).await?;
        Ok(dto::AbortMultipartUploadOutput::default())
    }
}

fn upload_kind(
    algorithm: Option<Algorithm>,
    given: Option<&dto::ChecksumType>,
) -> S3Result<ChecksumKind> {
    let given = given.map(|kind| ChecksumKind::parse(kind.as_str())).transpose()?;
    match (algorithm, given) {
        (None, None) => Ok(ChecksumKind::FullObject),
        (None, Some(_)) => Err(invalid("A checksum type needs a checksum algorithm.")),
        (Some(algorithm), None) => Ok(algorithm.default_kind()),
        (Some(algorithm), Some(kind)) if algorithm.allows(kind) => Ok(kind),
        (Some(algorithm), Some(kind)) => {
            let (algorithm, kind) = (algorithm.as_str(), kind.as_str());
            let message = format!("The {kind} checksum type is not possible with {algorithm}.");
            Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
        }
    }
}

/// Checks that a part has a checksum with the algorithm of its upload. It may have
/// none if the checksum of the object is not composite.
fn check_algorithm(
    of_upload: Option<Algorithm>,
    kind: ChecksumKind,
    of_part: Option<Algorithm>,
) -> S3Result<()> {
    if of_part == of_upload || (of_part.is_none() && kind == ChecksumKind::FullObject) {
        return Ok(());
    }
    let name = |algorithm: Option<Algorithm>| {
        algorithm.map_or("null".to_owned(), |a| a.as_str().to_lowercase())
    };
    let message = format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(of_upload),
        name(of_part)
    );
    Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
}

fn listed_part(part: dto::CompletedPart) -> S3Result<ListedPart> {
    let malformed = || S3Error::new(S3ErrorCode::MalformedXML);
    Ok(ListedPart {
        number: part.part_number.ok_or_else(malformed)?,
        checksum: checksum_of!(part)?,
        etag: part.e_tag.ok_or_else(malformed)?.into_value(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_has_an_allowed_pair_of_algorithm_and_type() {
        use Algorithm::{Crc32, Crc64Nvme, Sha256};
        let (full, composite) = (Some("FULL_OBJECT"), Some("COMPOSITE"));
        #[rustfmt::skip]
        let cases = [
            (None,            None,      Some(ChecksumKind::FullObject)),
            (None,            full,      None),
            (Some(Crc64Nvme), None,      Some(ChecksumKind::FullObject)),
            (Some(Crc64Nvme), composite, None),
            (Some(Crc32),     None,      Some(ChecksumKind::Composite)),
            (Some(Crc32),     full,      Some(ChecksumKind::FullObject)),
            (Some(Sha256),    None,      Some(ChecksumKind::Composite)),
            (Some(Sha256),    full,      None),
        ];
        for (algorithm, given, want) in cases {
            let given = given.map(dto::ChecksumType::from_static);
            assert_eq!(upload_kind(algorithm, given.as_ref()).ok(), want, "{algorithm:?}");
        }
    }

    #[test]
    fn a_part_has_the_checksum_algorithm_of_its_upload() {
        let (crc, sha) = (Some(Algorithm::Crc64Nvme), Some(Algorithm::Sha256));
        #[rustfmt::skip]
        let cases = [
            // of the upload            of the part  is fine
            ((crc,  ChecksumKind::FullObject),  crc,         true),
            ((crc,  ChecksumKind::FullObject),  None,        true),
            ((crc,  ChecksumKind::FullObject),  sha,         false),
            ((sha,  ChecksumKind::Composite),   sha,         true),
            ((sha,  ChecksumKind::Composite),   None,        false),
            ((sha,  ChecksumKind::Composite),   crc,         false),
            ((None, ChecksumKind::FullObject),  None,        true),
            ((None, ChecksumKind::FullObject),  crc,         false),
        ];
        for ((algorithm, kind), of_part, is_fine) in cases {
            let got = check_algorithm(algorithm, kind, of_part).is_ok();
            assert_eq!(got, is_fine, "{algorithm:?} {kind:?} {of_part:?}");
        }
    }
}
