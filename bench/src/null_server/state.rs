//! The stored objects and the unfinished multipart uploads.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::body::Body;

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep all bodies in memory, and serve them.
    pub keep: bool,
    /// Time between the end of a request and its answer.
    pub latency: Duration,
}

/// The state of the server. Objects of all buckets are in one map, by
/// `bucket/key`.
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
    /// The parts of the body, `bytes` in total; empty if the body was discarded.
    pub body: Vec<Body>,
    /// The headers of the request that GET and HEAD return.
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

    /// Returns an ETag that no client takes for an MD5.
    pub fn new_etag(&self) -> String {
        format!("\"null-{}\"", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    pub fn stores_body(&self, path: &str) -> bool {
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
        let is_stored = self.parts.values().all(|part| part.body.is_some());
        let body = self.parts.into_values().filter_map(|part| part.body);
        let body = if is_stored { body.collect() } else { Vec::new() };
        Object { etag, bytes, body, headers: self.headers }
    }
}
