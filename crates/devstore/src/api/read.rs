//! Calls that read one object.

use std::ops::Range;

use s3s::dto::{ETagCondition, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, dto};

use super::Api;
use super::fields::{fill_checksum, fill_object, kind};
use crate::objects::Found;
use crate::precondition;
use crate::record::{Object, Part};

/// As many parts as GetObjectAttributes lists unless asked for fewer.
const PARTS_MAX: i32 = 1000;

/// What a reader asks the object to be, or not to be any more.
#[derive(Clone)]
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
}

impl Api {
    pub(super) async fn get(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<dto::GetObjectOutput> {
        let input = request.input;
        refuse_part_number(input.part_number)?;
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let (bucket, key, wanted) = (input.bucket, input.key, input.range);
        let opened = self.work(move |store| {
            store.open_object(&bucket, &key, input.version_id.as_deref(), |object| {
                conditions.check(object)?;
                range(wanted, object.len)
            })
        });
        let (found, range, reader) = opened.await?;
        // A checksum of the whole would not fit a part of the bytes.
        let checksum_mode = input.checksum_mode.filter(|_| wanted.is_none());
        let mut output = dto::GetObjectOutput::default();
        fill_object!(output, found, checksum_mode);
        output.content_length = Some((range.end - range.start) as i64);
        output.content_range = wanted.map(|_| content_range(&range, found.object().len));
        output.body = Some(StreamingBlob::wrap(reader.into_stream()));
        Ok(output)
    }

    pub(super) async fn head(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<dto::HeadObjectOutput> {
        let input = request.input;
        refuse_part_number(input.part_number)?;
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let found = self.look_up(input.bucket, input.key, input.version_id).await?;
        conditions.check(found.object())?;
        let range = range(input.range, found.object().len)?;
        let checksum_mode = input.checksum_mode.filter(|_| input.range.is_none());
        let mut output = dto::HeadObjectOutput::default();
        fill_object!(output, found, checksum_mode);
        output.content_length = Some((range.end - range.start) as i64);
        output.content_range = input.range.map(|_| content_range(&range, found.object().len));
        Ok(output)
    }

    pub(super) async fn attributes(
        &self,
        request: S3Request<dto::GetObjectAttributesInput>,
    ) -> S3Result<dto::GetObjectAttributesOutput> {
        let input = request.input;
        let found = self.look_up(input.bucket, input.key, input.version_id).await?;
        let object = found.object();
        // `s3s` hands on a header with commas in it as one attribute.
        let names: Vec<&str> =
            input.object_attributes.iter().flat_map(|list| list.as_str().split(',')).collect();
        let wants = |name: &str| names.iter().any(|wanted| wanted.trim() == name);
        let class = object.attributes.storage_class.as_deref().unwrap_or("STANDARD").to_owned();
        let parts = || attributes_of_parts(object, input.max_parts, input.part_number_marker);
        Ok(dto::GetObjectAttributesOutput {
            checksum: wants("Checksum").then(|| checksum(object)),
            e_tag: wants("ETag").then(|| dto::ETag::Strong(object.etag.clone())),
            object_parts: (wants("ObjectParts") && object.upload_id.is_some()).then(parts),
            object_size: wants("ObjectSize").then_some(object.len as i64),
            storage_class: wants("StorageClass").then(|| class.into()),
            last_modified: Some(found.version.written_at.clone()),
            version_id: found.shown_id.clone(),
            ..Default::default()
        })
    }

    async fn look_up(
        &self,
        bucket: String,
        key: String,
        version_id: Option<String>,
    ) -> S3Result<Found> {
        self.work(move |store| store.find(&bucket, &key, version_id.as_deref())).await
    }
}

impl Conditions {
    fn check(&self, object: &Object) -> S3Result<()> {
        let is_it = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == object.etag,
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

fn refuse_part_number(part_number: Option<i32>) -> S3Result<()> {
    match part_number {
        None => Ok(()),
        Some(_) => Err(S3Error::with_message(
            S3ErrorCode::NotImplemented,
            "This server does not read objects by part number.",
        )),
    }
}

fn range(wanted: Option<dto::Range>, len: u64) -> S3Result<Range<u64>> {
    match wanted {
        None => Ok(0..len),
        Some(wanted) => match wanted.check(len) {
            Ok(range) if !range.is_empty() => Ok(range),
            Ok(_) | Err(_) => Err(S3Error::with_message(
                S3ErrorCode::InvalidRange,
                "The requested range is not satisfiable",
            )),
        },
    }
}

fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end - 1)
}

fn checksum(object: &Object) -> dto::Checksum {
    let mut output = dto::Checksum::default();
    fill_checksum!(output, object.checksum);
    output.checksum_type = Some(kind(&object.checksum));
    output
}

fn attributes_of_parts(
    object: &Object,
    max: Option<i32>,
    after: Option<i32>,
) -> dto::GetObjectAttributesParts {
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
        total_parts_count: Some(object.parts.len() as i32),
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

#[cfg(test)]
mod tests {
    use s3s::dto::Range as Wanted;

    use super::*;

    #[test]
    fn ranges() {
        #[rustfmt::skip]
        let cases = [
            ("bytes=0-",    10, Some(0..10)),
            ("bytes=0-0",   10, Some(0..1)),
            ("bytes=3-5",   10, Some(3..6)),
            ("bytes=3-99",  10, Some(3..10)),
            ("bytes=-4",    10, Some(6..10)),
            ("bytes=-99",   10, Some(0..10)),
            ("bytes=10-",   10, None),
            ("bytes=-0",    10, None),
            ("bytes=0-",    0,  None),
            ("bytes=-1",    0,  None),
        ];
        for (text, len, want) in cases {
            let got = range(Some(Wanted::parse(text).unwrap()), len);
            assert_eq!(got.ok(), want, "{text} of {len}");
        }
        assert_eq!(range(None, 0).unwrap(), 0..0);
        assert_eq!(content_range(&(3..6), 10), "bytes 3-5/10");
    }
}
