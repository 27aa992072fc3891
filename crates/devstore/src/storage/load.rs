//! Reads the directory into memory at start, and cleans up after a crash.
//!
//! A crash can leave an upload that was completed already, a directory without its
//! record, and blobs that no record lists. None of them was ever visible.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::record::{Part, UploadRecord, Version};
use crate::storage::bucket::{Bucket, Upload};
use crate::storage::disk::{self, Disk, OpenError, io_error};

pub(crate) struct Loaded {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    pub(crate) order: u64,
    /// Time by which the clock was advanced.
    pub(crate) ahead: Duration,
}

pub(crate) fn load(disk: &Disk) -> Result<Loaded, OpenError> {
    let mut buckets = BTreeMap::new();
    for path in disk::entries(&disk.buckets())? {
        let name = name_of(&path);
        if disk.bucket_record(&name).exists() {
            buckets.insert(name.clone(), load_bucket(disk, &name)?);
        }
    }
    remove_unused_blobs(disk, &buckets)?;
    let order = buckets.values().map(highest_order).max().unwrap_or(0);
    let clock = disk.clock();
    let ahead = if clock.exists() { disk::read(&clock)? } else { Duration::ZERO };
    Ok(Loaded { buckets, order, ahead })
}

fn highest_order(bucket: &Bucket) -> u64 {
    let versions = bucket.versions.values().flatten().map(|version| version.order);
    let uploads = bucket.uploads.values().flat_map(BTreeMap::values);
    versions.chain(uploads.map(|upload| upload.record.order)).max().unwrap_or(0)
}

fn load_bucket(disk: &Disk, name: &str) -> Result<Bucket, OpenError> {
    let mut bucket = Bucket::new(disk::read(&disk.bucket_record(name))?);
    for dir in disk::entries(&disk.objects(name))? {
        for path in disk::entries(&dir)? {
            let version: Version = disk::read(&path)?;
            bucket.versions.entry(version.key.clone()).or_default().push(Arc::new(version));
        }
    }
    for versions in bucket.versions.values_mut() {
        versions.sort_by_key(|version| std::cmp::Reverse(version.order));
    }
    let completed = completed_uploads(&bucket);
    for dir in disk::entries(&disk.uploads(name))? {
        let id = name_of(&dir);
        if completed.contains(&id) || !disk.upload_record(name, &id).exists() {
            disk.remove_directory(&dir).map_err(|e| io_error(&dir, e))?;
            continue;
        }
        let upload = load_upload(disk, name, &id, &dir)?;
        bucket.uploads.entry(upload.record.key.clone()).or_default().insert(id, upload);
    }
    Ok(bucket)
}

fn load_upload(disk: &Disk, bucket: &str, id: &str, dir: &Path) -> Result<Upload, OpenError> {
    let record_path = disk.upload_record(bucket, id);
    let record: UploadRecord = disk::read(&record_path)?;
    let mut parts = BTreeMap::new();
    for path in disk::entries(dir)?.into_iter().filter(|path| *path != record_path) {
        let part: Part = disk::read(&path)?;
        parts.insert(part.number, part);
    }
    Ok(Upload { record, parts, replaced: Vec::new() })
}

fn completed_uploads(bucket: &Bucket) -> HashSet<String> {
    let versions = bucket.versions.values().flatten();
    versions.filter_map(|version| version.object()?.upload_id.clone()).collect()
}

fn remove_unused_blobs(disk: &Disk, buckets: &BTreeMap<String, Bucket>) -> Result<(), OpenError> {
    let used = used_blobs(buckets);
    for dir in disk::entries(&disk.blobs())? {
        for path in disk::entries(&dir)? {
            if !used.contains(name_of(&path).as_str()) {
                fs::remove_file(&path).map_err(|e| io_error(&path, e))?;
            }
        }
    }
    Ok(())
}

fn used_blobs(buckets: &BTreeMap<String, Bucket>) -> HashSet<&str> {
    let mut used = HashSet::new();
    for bucket in buckets.values() {
        used.extend(bucket.versions.values().flatten().flat_map(|version| version.blobs()));
        let uploads = bucket.uploads.values().flat_map(BTreeMap::values);
        used.extend(uploads.flat_map(|upload| upload.parts.values().map(|p| p.blob.as_str())));
    }
    used
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
