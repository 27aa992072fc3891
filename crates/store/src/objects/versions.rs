//! Lists the versions of one object.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{DeleteMarkerEntry, EncodingType, ObjectVersion as SdkVersion};
use s3up_core::Key;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::listing::decode_key;
use crate::transport::connect::Store;

/// Maximum number of versions that are returned. The newest are.
const VERSIONS_MAX: usize = 10_000;

/// One version of an object, or the marker of its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// `null` for an object of a bucket without versions.
    pub version_id: String,
    /// In bytes; 0 for the marker of a deletion.
    pub size: u64,
    pub modified_at: SystemTime,
    pub is_latest: bool,
    pub is_deleted: bool,
    /// `None` means STANDARD.
    pub storage_class: Option<String>,
}

/// The last version of a page. The next page begins after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionMarker {
    pub key: Option<String>,
    pub version_id: Option<String>,
}

/// One page of the versions below a prefix, in the order of their keys, and the newest of each key
/// first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionPage {
    pub versions: Vec<(String, ObjectVersion)>,
    /// `None` if no version follows.
    pub next: Option<VersionMarker>,
}

impl Store {
    /// Returns the versions of `key`, the newest first, and at most 10,000 of them.
    pub async fn versions(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<Vec<ObjectVersion>, StoreError> {
        let (mut found, mut marker) = (Vec::new(), VersionMarker::default());
        loop {
            let page = self.retry(retry_for, || {
                let list = self.client.list_object_versions().bucket(self.bucket());
                let list = list.prefix(key.as_str()).encoding_type(EncodingType::Url);
                let list = list.set_key_marker(marker.key.clone());
                let list = list.set_version_id_marker(marker.version_id.clone());
                self.call(Operation::ListVersions, key, list.send())
            });
            let page = page.await?;
            // Keys that only begin like this one follow it in the order of keys.
            let encoding = page.encoding_type;
            let decode = |text: Option<&str>| text.map(|key| decode_key(key, encoding.as_ref()));
            let is_key = |text: Option<&str>| decode(text).as_deref() == Some(key.as_str());
            let versions = page.versions.unwrap_or_default().into_iter();
            found.extend(versions.filter(|it| is_key(it.key())).map(of_version));
            let markers = page.delete_markers.unwrap_or_default().into_iter();
            found.extend(markers.filter(|it| is_key(it.key())).map(of_marker));
            let more_follow = page.is_truncated == Some(true)
                && is_key(page.next_key_marker.as_deref())
                && found.len() < VERSIONS_MAX;
            if !more_follow {
                break;
            }
            let key = decode(page.next_key_marker.as_deref());
            marker = VersionMarker { key, version_id: page.next_version_id_marker };
        }
        // Versions and markers are in two lists; a stable sort keeps the order of S3 within one.
        found.sort_by_key(|version| std::cmp::Reverse((version.is_latest, version.modified_at)));
        found.truncate(VERSIONS_MAX);
        Ok(found)
    }

    /// Lists up to `limit` versions, at most 1,000, of the keys that start with `prefix`, after those
    /// of the page that ended at `after`.
    pub async fn versions_below(
        &self,
        prefix: &str,
        after: &VersionMarker,
        limit: usize,
        retry_for: Duration,
    ) -> Result<VersionPage, StoreError> {
        let subject = self.subject_of(prefix);
        let page = self.retry(retry_for, || {
            let list = self.client.list_object_versions().bucket(self.bucket()).prefix(prefix);
            let list = list.encoding_type(EncodingType::Url);
            let list = list.set_key_marker(after.key.clone());
            let list = list.set_version_id_marker(after.version_id.clone());
            let list = list.max_keys(i32::try_from(limit).unwrap_or(i32::MAX));
            self.call(Operation::ListVersions, &subject, list.send())
        });
        let page = page.await?;
        let encoding = page.encoding_type;
        let decode = |key: Option<&str>| decode_key(key.unwrap_or_default(), encoding.as_ref());
        let of_versions = page.versions.unwrap_or_default().into_iter();
        let of_versions = of_versions.map(|it| (decode(it.key()), of_version(it)));
        let of_markers = page.delete_markers.unwrap_or_default().into_iter();
        let of_markers = of_markers.map(|it| (decode(it.key()), of_marker(it)));
        let mut versions: Vec<_> = of_versions.chain(of_markers).collect();
        versions.sort_by(|(key, version), (other_key, other)| {
            let newest_first =
                |it: &ObjectVersion| std::cmp::Reverse((it.is_latest, it.modified_at));
            key.cmp(other_key).then_with(|| newest_first(version).cmp(&newest_first(other)))
        });
        let next = (page.is_truncated == Some(true)).then(|| VersionMarker {
            key: page.next_key_marker.as_deref().map(|key| decode(Some(key))),
            version_id: page.next_version_id_marker,
        });
        if next.as_ref().is_some_and(|next| next.key.is_none()) {
            let err =
                StoreError::new(Operation::ListVersions, &subject, StoreErrorKind::Unreadable);
            return Err(err.with_cause("the page is truncated and does not say where it ends"));
        }
        Ok(VersionPage { versions, next })
    }
}

fn of_version(version: SdkVersion) -> ObjectVersion {
    ObjectVersion {
        version_id: version.version_id.unwrap_or_default(),
        size: version.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        modified_at: time(version.last_modified),
        is_latest: version.is_latest == Some(true),
        is_deleted: false,
        storage_class: version.storage_class.map(|class| class.as_str().to_owned()),
    }
}

fn of_marker(marker: DeleteMarkerEntry) -> ObjectVersion {
    ObjectVersion {
        version_id: marker.version_id.unwrap_or_default(),
        size: 0,
        modified_at: time(marker.last_modified),
        is_latest: marker.is_latest == Some(true),
        is_deleted: true,
        storage_class: None,
    }
}

fn time(at: Option<DateTime>) -> SystemTime {
    at.and_then(|at| SystemTime::try_from(at).ok()).unwrap_or(SystemTime::UNIX_EPOCH)
}
