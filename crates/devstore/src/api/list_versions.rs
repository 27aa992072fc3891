//! ListObjectVersions: every version and delete marker of every key.

use std::sync::Arc;

use s3s::{S3Request, S3Result, dto};

use super::Api;
use super::fields::{algorithm_name, kind};
use super::list_request::ListRequest;
use super::restore::{restore_status, wants_restore_status};
use crate::model::listing::{Cursor, Page, page};
use crate::model::record::{Object, Version};
use crate::storage::bucket::Bucket;

/// A version, and whether it is the newest of its key.
type Entry = (Arc<Version>, bool);

impl Api {
    pub(super) async fn list_versions(
        &self,
        request: S3Request<dto::ListObjectVersionsInput>,
    ) -> S3Result<dto::ListObjectVersionsOutput> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let list = ListRequest::new(input.prefix, input.delimiter, input.max_keys, encoding)?;
        let after = list.cursor(input.key_marker.as_ref());
        let id_marker = input.version_id_marker.clone();
        let (bucket, request) = (input.bucket.clone(), list.clone());
        let found = self.work(move |store| {
            Ok(versions(store.state()?.bucket(&bucket)?, &request, after, id_marker.as_deref()))
        });
        let page = found.await?;
        let last_id = page.entries.last().map(|(version, _)| version.id.clone());
        let with_restores = wants_restore_status(input.optional_object_attributes.as_ref());
        let restores_at = with_restores.then(|| self.store.clock.time());
        let entry = |version, object, is_latest| dto::ObjectVersion {
            restore_status: restore_status(object, restores_at),
            ..entry(version, object, is_latest, &list)
        };
        let (mut versions, mut delete_markers) = (Vec::new(), Vec::new());
        for (version, is_latest) in &page.entries {
            match version.object() {
                Some(object) => versions.push(entry(version, object, *is_latest)),
                None => delete_markers.push(delete_marker(version, *is_latest, &list)),
            }
        }
        Ok(dto::ListObjectVersionsOutput {
            common_prefixes: list.prefixes(&page),
            delete_markers: Some(delete_markers),
            delimiter: list.delimiter(),
            encoding_type: list.encoding_type(),
            is_truncated: Some(page.next.is_some()),
            key_marker: input.key_marker.map(|key| list.encode(&key)),
            max_keys: Some(list.max),
            name: Some(input.bucket),
            next_version_id_marker: last_id.filter(|_| page.ends_with_an_entry()),
            next_key_marker: page.next.map(|cursor| list.encode(&cursor.into_marker())),
            prefix: list.prefix(),
            request_charged: None,
            version_id_marker: input.version_id_marker,
            versions: Some(versions),
        })
    }
}

fn versions(
    bucket: &Bucket,
    list: &ListRequest,
    after: Option<Cursor>,
    id_marker: Option<&str>,
) -> Page<Entry> {
    // The page may start between two versions of the same key.
    let query = list.query(after);
    let rest = match (&query.after, id_marker) {
        (Some(Cursor::Key(key)), Some(id)) if key.starts_with(query.prefix) => {
            rest_of(bucket, key, id)
        }
        (_, _) => Vec::new(),
    };
    let others = query.range(&bucket.versions).flat_map(|(_, versions)| entries(versions));
    let all = rest.into_iter().chain(others).map(|entry| (entry.0.key.as_str(), entry));
    let page = page(&query, all);
    Page {
        entries: page.entries.into_iter().map(|(v, latest)| (Arc::clone(v), latest)).collect(),
        prefixes: page.prefixes,
        next: page.next,
    }
}

fn rest_of<'a>(bucket: &'a Bucket, key: &str, id: &str) -> Vec<(&'a Arc<Version>, bool)> {
    let versions = bucket.versions.get(key).map(Vec::as_slice).unwrap_or_default();
    let from =
        versions.iter().position(|version| version.id == id).map_or(versions.len(), |n| n + 1);
    entries(versions).skip(from).collect()
}

fn entries(versions: &[Arc<Version>]) -> impl Iterator<Item = (&Arc<Version>, bool)> {
    versions.iter().enumerate().map(|(n, version)| (version, n == 0))
}

fn entry(
    version: &Version,
    object: &Object,
    is_latest: bool,
    list: &ListRequest,
) -> dto::ObjectVersion {
    let reported = object.reported_checksum();
    let class = object.attributes.storage_class.as_deref().unwrap_or("STANDARD").to_owned();
    dto::ObjectVersion {
        checksum_algorithm: reported.map(|checksum| vec![algorithm_name(checksum.algorithm)]),
        checksum_type: reported.map(kind),
        e_tag: Some(dto::ETag::Strong(object.etag.clone())),
        is_latest: Some(is_latest),
        key: Some(list.encode(&version.key)),
        last_modified: Some(version.written_at.clone()),
        owner: None,
        restore_status: None,
        size: Some(object.len as i64),
        storage_class: Some(class.into()),
        version_id: Some(version.id.clone()),
    }
}

fn delete_marker(version: &Version, is_latest: bool, list: &ListRequest) -> dto::DeleteMarkerEntry {
    dto::DeleteMarkerEntry {
        is_latest: Some(is_latest),
        key: Some(list.encode(&version.key)),
        last_modified: Some(version.written_at.clone()),
        owner: None,
        version_id: Some(version.id.clone()),
    }
}
