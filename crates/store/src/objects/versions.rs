//! Lists the versions of one object.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{DeleteMarkerEntry, EncodingType, ObjectVersion as SdkVersion};
use s3up_core::Key;

use crate::error::{Operation, StoreError};
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
}

/// Begin of the next page.
#[derive(Default)]
struct Marker {
    key: Option<String>,
    version_id: Option<String>,
}

impl Store {
    /// Returns the versions of `key`, the newest first, and at most 10,000 of them.
    pub async fn versions(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<Vec<ObjectVersion>, StoreError> {
        let (mut found, mut marker) = (Vec::new(), Marker::default());
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
            marker = Marker { key, version_id: page.next_version_id_marker };
        }
        // Versions and markers are in two lists; a stable sort keeps the order of S3 within one.
        found.sort_by_key(|version| std::cmp::Reverse((version.is_latest, version.modified_at)));
        found.truncate(VERSIONS_MAX);
        Ok(found)
    }
}

fn of_version(version: SdkVersion) -> ObjectVersion {
    ObjectVersion {
        version_id: version.version_id.unwrap_or_default(),
        size: version.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        modified_at: time(version.last_modified),
        is_latest: version.is_latest == Some(true),
        is_deleted: false,
    }
}

fn of_marker(marker: DeleteMarkerEntry) -> ObjectVersion {
    ObjectVersion {
        version_id: marker.version_id.unwrap_or_default(),
        size: 0,
        modified_at: time(marker.last_modified),
        is_latest: marker.is_latest == Some(true),
        is_deleted: true,
    }
}

fn time(at: Option<DateTime>) -> SystemTime {
    at.and_then(|at| SystemTime::try_from(at).ok()).unwrap_or(SystemTime::UNIX_EPOCH)
}
