//! ListMultipartUploads and ListParts.

use s3s::{S3Request, S3Result, dto};

use super::Api;
use super::fields::{algorithm_name, fill_checksum, invalid_argument};
use super::list_request::ListRequest;
use crate::behaviours::Checksums;
use crate::model::listing::{Cursor, PAGE_MAX, Page, page};
use crate::model::record::{Part, UploadRecord};
use crate::storage::bucket::{Bucket, Upload};
use crate::storage::uploads::UploadName;

impl Api {
    pub(super) async fn list_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<dto::ListMultipartUploadsOutput> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let list = ListRequest::new(input.prefix, input.delimiter, input.max_uploads, encoding)?;
        let after = list.cursor(input.key_marker.as_ref());
        let id_marker = input.upload_id_marker.clone();
        let (bucket, request) = (input.bucket.clone(), list.clone());
        let found = self.work(move |store| {
            Ok(uploads(store.state()?.bucket(&bucket)?, &request, after, id_marker.as_deref()))
        });
        let page = found.await?;
        let last_id = page.entries.last().map(|upload| upload.id.clone());
        Ok(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: list.prefixes(&page),
            delimiter: list.delimiter(),
            encoding_type: list.encoding_type(),
            is_truncated: Some(page.next.is_some()),
            key_marker: input.key_marker.map(|key| list.encode(&key)),
            max_uploads: Some(list.max),
            next_upload_id_marker: last_id.filter(|_| page.ends_with_an_entry()),
            next_key_marker: page.next.map(|cursor| list.encode(&cursor.into_marker())),
            prefix: list.prefix(),
            request_charged: None,
            upload_id_marker: input.upload_id_marker,
            uploads: Some(page.entries.iter().map(|upload| entry(upload, &list)).collect()),
        })
    }

    pub(super) async fn list_parts_of(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<dto::ListPartsOutput> {
        let dto::ListPartsInput { bucket, key, upload_id, max_parts, part_number_marker, .. } =
            request.input;
        let max = max_parts.unwrap_or(PAGE_MAX as i32).min(PAGE_MAX as i32);
        let max_count =
            usize::try_from(max).map_err(|_| invalid_argument("max-parts is negative."))?;
        let after = part_number_marker.unwrap_or(0);
        let name = UploadName { bucket, key, id: upload_id };
        let upload_name = name.clone();
        let upload = self.work(move |store| store.upload(&upload_name)).await?;
        let reports_checksums = self.behaviours().checksums == Checksums::Verified;
        let all = sendings(&upload);
        let behind = all.iter().filter(|part| part.number > after);
        let parts: Vec<_> =
            behind.clone().take(max_count).map(|part| part_of(part, reports_checksums)).collect();
        let is_truncated = parts.len() < behind.count();
        let class = upload.record.attributes.storage_class.as_deref().unwrap_or("STANDARD");
        Ok(dto::ListPartsOutput {
            bucket: Some(name.bucket),
            key: Some(name.key),
            upload_id: Some(name.id),
            checksum_algorithm: upload.record.algorithm.map(algorithm_name),
            checksum_type: upload.record.shown_kind(),
            is_truncated: Some(is_truncated),
            max_parts: Some(max),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            part_number_marker: Some(after),
            parts: Some(parts),
            storage_class: Some(class.to_owned().into()),
            ..Default::default()
        })
    }
}

fn uploads(
    bucket: &Bucket,
    list: &ListRequest,
    after: Option<Cursor>,
    id_marker: Option<&str>,
) -> Page<UploadRecord> {
    // The page may start between two uploads of the same key.
    let query = list.query(after);
    let rest = match (&query.after, id_marker) {
        (Some(Cursor::Key(key)), Some(id)) if key.starts_with(query.prefix) => {
            bucket.uploads.get(key).map(|uploads| (uploads, id))
        }
        (_, _) => None,
    };
    let rest = rest.into_iter().flat_map(|(uploads, id)| {
        uploads.values().filter(move |upload| upload.record.id.as_str() > id)
    });
    let others = query.range(&bucket.uploads).flat_map(|(_, uploads)| uploads.values());
    let all = rest.chain(others).map(|upload| (upload.record.key.as_str(), &upload.record));
    let page = page(&query, all);
    Page {
        entries: page.entries.into_iter().cloned().collect(),
        prefixes: page.prefixes,
        next: page.next,
    }
}

fn entry(upload: &UploadRecord, list: &ListRequest) -> dto::MultipartUpload {
    let class = upload.attributes.storage_class.as_deref().unwrap_or("STANDARD").to_owned();
    dto::MultipartUpload {
        checksum_algorithm: upload.algorithm.map(algorithm_name),
        checksum_type: upload.shown_kind(),
        initiated: Some(upload.started_at.clone()),
        initiator: None,
        key: Some(list.encode(&upload.key)),
        owner: None,
        storage_class: Some(class.into()),
        upload_id: Some(upload.id.clone()),
    }
}

/// Returns the parts in the order of their numbers, and each of them behind those
/// that it replaced if they are kept.
fn sendings(upload: &Upload) -> Vec<&Part> {
    let mut all: Vec<_> = upload.replaced.iter().chain(upload.parts.values()).collect();
    all.sort_by_key(|part| part.number);
    all
}

fn part_of(part: &Part, tells_checksum: bool) -> dto::Part {
    let mut output = dto::Part {
        e_tag: Some(dto::ETag::Strong(part.etag.clone())),
        last_modified: Some(part.written_at.clone()),
        part_number: Some(part.number),
        size: Some(part.len as i64),
        ..Default::default()
    };
    if tells_checksum {
        fill_checksum!(output, part.checksum);
    }
    output
}

impl UploadRecord {
    /// Returns the checksum type, if the client chose a checksum.
    fn shown_kind(&self) -> Option<dto::ChecksumType> {
        self.algorithm.map(|_| dto::ChecksumType::from_static(self.kind.as_str()))
    }
}
