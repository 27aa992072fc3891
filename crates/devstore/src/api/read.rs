//! GetObject, HeadObject and GetObjectAttributes.

use http::StatusCode;
use s3s::dto::{ETagCondition, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::fields::{fill_checksum, fill_object, kind};
use super::restore::restore_header;
use super::slice::Selection;
use super::{Api, with_status};
use crate::model::digest::{Checksum, ChecksumKind};
use crate::model::precondition;
use crate::model::record::{Object, Part};
use crate::storage::objects::FoundVersion;

/// Maximum number of parts that GetObjectAttributes lists.
const PARTS_MAX: i32 = 1000;

/// The conditions of a read.
#[derive(Clone)]
pub(super) struct RequestConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Api {
    pub(super) async fn get(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<dto::GetObjectOutput> {
        let input = request.input;
        let selection = Selection::new(input.range, input.part_number)?;
        let conditions =
            RequestConditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let (bucket, key) = (input.bucket, input.key);
        let opened = self.work(move |store| {
            let tells_etag = store.behaviours.tells_etag;
            store.open_object(&bucket, &key, input.version_id.as_deref(), |object| {
                conditions.check(object, tells_etag)?;
                Ok(selection.of(object)?.range)
            })
        });
        let (found, range, reader) = opened.await?;
        let slice = selection.of(found.object())?;
        let mut output = dto::GetObjectOutput::default();
        fill_object!(output, found, slice.checksum, input.checksum_mode, self.behaviours());
        output.restore = restore_header(self.store.archive_state_of(found.object()));
        output.content_length = Some((range.end - range.start) as i64);
        output.content_range = slice.content_range;
        output.parts_count = slice.parts_count;
        output.body = Some(StreamingBlob::wrap(reader.into_stream()));
        Ok(output)
    }

    pub(super) async fn head(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = request.input;
        let selection = Selection::new(input.range, input.part_number)?;
        let conditions =
            RequestConditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let found = self.find_object(input.bucket, input.key, input.version_id).await?;
        conditions.check(found.object(), self.behaviours().tells_etag)?;
        let slice = selection.of(found.object())?;
        let mut output = dto::HeadObjectOutput::default();
        fill_object!(output, found, slice.checksum, input.checksum_mode, self.behaviours());
        output.restore = restore_header(self.store.archive_state_of(found.object()));
        output.content_length = Some((slice.range.end - slice.range.start) as i64);
        output.content_range = slice.content_range;
        output.parts_count = slice.parts_count;
        let status = match output.content_range {
            Some(_) => StatusCode::PARTIAL_CONTENT,
            None => StatusCode::OK,
        };
        Ok(with_status(output, status))
    }

    pub(super) async fn object_attributes(
        &self,
        request: S3Request<dto::GetObjectAttributesInput>,
    ) -> S3Result<dto::GetObjectAttributesOutput> {
        let input = request.input;
        let found = self.find_object(input.bucket, input.key, input.version_id).await?;
        let object = found.object();
        // `s3s` passes a header with commas as one attribute.
        let names: Vec<&str> =
            input.object_attributes.iter().flat_map(|list| list.as_str().split(',')).collect();
        let wants = |name: &str| names.iter().any(|wanted| wanted.trim() == name);
        let class = object.attributes.storage_class.as_deref().unwrap_or("STANDARD").to_owned();
        let parts = || attributes_of_parts(object, input.max_parts, input.part_number_marker);
        Ok(dto::GetObjectAttributesOutput {
            checksum: object
                .reported_checksum()
                .filter(|_| wants("Checksum"))
                .map(|_| checksum(object)),
            // S3 omits the quotes here, but `s3s` cannot.
            e_tag: wants("ETag").then(|| dto::ETag::Strong(object.etag.clone())),
            object_parts: (wants("ObjectParts") && object.upload_id.is_some()).then(parts),
            object_size: wants("ObjectSize").then_some(object.len as i64),
            storage_class: wants("StorageClass").then(|| class.into()),
            last_modified: Some(found.version.written_at.clone()),
            version_id: found.shown_id.clone(),
            ..Default::default()
        })
    }

    async fn find_object(
        &self,
        bucket: String,
        key: String,
        version_id: Option<String>,
    ) -> S3Result<FoundVersion> {
        self.work(move |store| store.find(&bucket, &key, version_id.as_deref())).await
    }
}

impl RequestConditions {
    /// A server that returns no ETag knows none.
    pub(super) fn check(&self, object: &Object, tells_etag: bool) -> S3Result<()> {
        let is_it = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => tells_etag && etag.value() == object.etag,
        };
        if self.if_match.as_ref().is_some_and(|condition| !is_it(condition)) {
            return Err(precondition::failed());
        }
        if self.if_none_match.as_ref().is_some_and(is_it) {
            return Err(S3Error::new(S3ErrorCode::NotModified));
        }
        Ok(())
    }
}

/// Returns the checksum. Here a composite one lacks the number of parts.
fn checksum(object: &Object) -> dto::Checksum {
    let value = object.checksum.value.split('-').next().unwrap_or_default().to_owned();
    let shown = Checksum { value, ..object.checksum.clone() };
    let mut output = dto::Checksum::default();
    fill_checksum!(output, shown);
    output.checksum_type = Some(kind(&shown));
    output
}

/// Returns the list of parts for a composite checksum. Otherwise it has only
/// their number.
fn attributes_of_parts(
    object: &Object,
    max: Option<i32>,
    after: Option<i32>,
) -> dto::GetObjectAttributesParts {
    let total_parts_count = Some(object.parts.len() as i32);
    if object.checksum.kind == ChecksumKind::FullObject {
        return dto::GetObjectAttributesParts { total_parts_count, ..Default::default() };
    }
    let (max, after) = (max.unwrap_or(PARTS_MAX).clamp(0, PARTS_MAX), after.unwrap_or(0));
    let behind = object.parts.iter().filter(|part| part.number > after);
    let parts: Vec<_> = behind.clone().take(max as usize).map(object_part).collect();
    let last = parts.last().and_then(|part| part.part_number);
    dto::GetObjectAttributesParts {
        is_truncated: Some(parts.len() < behind.count()),
        max_parts: Some(max),
        next_part_number_marker: last,
        part_number_marker: Some(after),
        parts: Some(parts),
        total_parts_count,
    }
}

fn object_part(part: &Part) -> dto::ObjectPart {
    let mut output = dto::ObjectPart {
        part_number: Some(part.number),
        size: Some(part.len as i64),
        ..Default::default()
    };
    fill_checksum!(output, part.checksum);
    output
}
