//! What was put, and what is on its way.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Options;
use super::body::Body;

/// Of each bucket, one map: `bucket/key`.
#[derive(Debug)]
pub struct State {
    pub options: Options,
    objects: Mutex<BTreeMap<String, Arc<Object>>>,
    uploads: Mutex<HashMap<String, Upload>>,
    serial: AtomicU64,
}

#[derive(Debug)]
pub struct Object {
    pub etag: String,
    pub bytes: u64,
    /// Empty where the body was discarded; else as long as `bytes`, in parts.
    pub body: Vec<Body>,
    /// Those of the request that GET and HEAD tell again.
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub struct Upload {
    pub headers: Vec<(String, String)>,
    pub parts: BTreeMap<u32, Part>,
}

#[derive(Debug)]
pub struct Part {
    pub etag: String,
    pub bytes: u64,
    pub body: Option<Body>,
    pub crc64nvme: Option<String>,
}

impl State {
    pub fn new(options: Options) -> State {
        State {
            options,
            objects: Mutex::default(),
            uploads: Mutex::default(),
            serial: AtomicU64::new(1),
        }
    }

    /// Unlike every MD5, so that no client takes it for one.
    pub fn new_etag(&self) -> String {
        format!("\"sink-{}\"", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    pub fn keeps(&self, path: &str) -> bool {
        self.options.keep || path.ends_with(".json")
    }

    pub fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Object>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn uploads(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn object(&self, path: &str) -> Option<Arc<Object>> {
        self.objects().get(path).cloned()
    }
}

impl Upload {
    pub fn into_object(self, etag: String) -> Object {
        let bytes = self.parts.values().map(|part| part.bytes).sum();
        let is_kept = self.parts.values().all(|part| part.body.is_some());
        let body = self.parts.into_values().filter_map(|part| part.body);
        let body = if is_kept { body.collect() } else { Vec::new() };
        Object { etag, bytes, body, headers: self.headers }
    }
}
