//! ListObjects and ListObjectsV2: the current version of each key.

use std::time::SystemTime;

use s3s::{S3Request, S3Result, dto};

use super::Api;
use super::fields::{algorithm_name, invalid_argument, kind};
use super::list_request::ListRequest;
use super::restore::{restore_status, wants_restore_status};
use crate::model::listing::{Cursor, Page, page};
use crate::model::record::Version;
use crate::storage::bucket::Bucket;

impl Api {
    pub(super) async fn list_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<dto::ListObjectsV2Output> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let list = ListRequest::new(input.prefix, input.delimiter, input.max_keys, encoding)?;
        let after =
            match &input.continuation_token {
                Some(token) => Some(Cursor::parse_token(token).ok_or_else(|| {
                    invalid_argument("The continuation token provided is incorrect")
                })?),
                None => input.start_after.clone().filter(|key| !key.is_empty()).map(Cursor::Key),
            };
        let with_restores = wants_restore_status(input.optional_object_attributes.as_ref());
        let page = self.page_of_objects(&input.bucket, &list, after, with_restores).await?;
        Ok(dto::ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: list.prefix(),
            max_keys: Some(list.max),
            key_count: Some((page.entries.len() + page.prefixes.len()) as i32),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            common_prefixes: list.prefixes(&page),
            next_continuation_token: page.next.map(|cursor| cursor.to_token()),
            contents: Some(page.entries),
            delimiter: list.delimiter(),
            encoding_type: list.encoding_type(),
            start_after: input.start_after.map(|key| list.encode(&key)),
            request_charged: None,
        })
    }

    pub(super) async fn list_v1(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<dto::ListObjectsOutput> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let list = ListRequest::new(input.prefix, input.delimiter, input.max_keys, encoding)?;
        let after = list.cursor(input.marker.as_ref());
        let with_restores = wants_restore_status(input.optional_object_attributes.as_ref());
        let page = self.page_of_objects(&input.bucket, &list, after, with_restores).await?;
        Ok(dto::ListObjectsOutput {
            name: Some(input.bucket),
            prefix: list.prefix(),
            marker: input.marker.map(|key| list.encode(&key)),
            max_keys: Some(list.max),
            is_truncated: Some(page.next.is_some()),
            common_prefixes: list.prefixes(&page),
            next_marker: page.next.map(|cursor| list.encode(&cursor.into_marker())),
            contents: Some(page.entries),
            delimiter: list.delimiter(),
            encoding_type: list.encoding_type(),
            request_charged: None,
        })
    }

    async fn page_of_objects(
        &self,
        bucket: &str,
        list: &ListRequest,
        after: Option<Cursor>,
        with_restores: bool,
    ) -> S3Result<Page<dto::Object>> {
        let (bucket, list) = (bucket.to_owned(), list.clone());
        let restores_at = with_restores.then(|| self.store.clock.time());
        let page = self.work(move |store| {
            let tells_etag = store.behaviours.tells_etag;
            Ok(objects(store.state()?.bucket(&bucket)?, &list, after, restores_at, tells_etag))
        });
        page.await
    }
}

fn objects(
    bucket: &Bucket,
    list: &ListRequest,
    after: Option<Cursor>,
    restores_at: Option<SystemTime>,
    tells_etag: bool,
) -> Page<dto::Object> {
    let query = list.query(after);
    let newest = query.range(&bucket.versions).filter_map(|(key, versions)| {
        let version = versions.first().filter(|version| version.object().is_some())?;
        Some((key.as_str(), version))
    });
    let page = page(&query, newest);
    Page {
        entries: page
            .entries
            .into_iter()
            .map(|version| object(version, list, restores_at, tells_etag))
            .collect(),
        prefixes: page.prefixes,
        next: page.next,
    }
}

fn object(
    version: &Version,
    list: &ListRequest,
    restores_at: Option<SystemTime>,
    tells_etag: bool,
) -> dto::Object {
    let object = version.object().expect("delete markers were filtered out");
    let reported = object.reported_checksum();
    let class = object.attributes.storage_class.as_deref().unwrap_or("STANDARD").to_owned();
    dto::Object {
        checksum_algorithm: reported.map(|checksum| vec![algorithm_name(checksum.algorithm)]),
        checksum_type: reported.map(kind),
        e_tag: Some(dto::ETag::Strong(object.etag.clone())).filter(|_| tells_etag),
        key: Some(list.encode(&version.key)),
        last_modified: Some(version.written_at.clone()),
        owner: None,
        restore_status: restore_status(object, restores_at),
        size: Some(object.len as i64),
        storage_class: Some(class.into()),
    }
}
