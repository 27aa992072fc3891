//! Numbers of this gateway since its start, for `GET /metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use s3up_core::ClientName;

/// The end of an upload, as metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UploadResult {
    Stored,
    Unchanged,
    Refused,
    Cancelled,
}

impl UploadResult {
    pub(crate) const ALL: [UploadResult; 4] = [
        UploadResult::Stored,
        UploadResult::Unchanged,
        UploadResult::Refused,
        UploadResult::Cancelled,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            UploadResult::Stored => "stored",
            UploadResult::Unchanged => "unchanged",
            UploadResult::Refused => "refused",
            UploadResult::Cancelled => "cancelled",
        }
    }
}

/// The uploads of one client that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientCounts {
    pub uploads: u64,
    pub stored_bytes: u64,
}

/// Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Only clients of the configuration upload, so it does not grow.
    uploads: Mutex<BTreeMap<(ClientName, UploadResult), u64>>,
    stored_bytes: Mutex<BTreeMap<ClientName, u64>>,
    requests: AtomicU64,
    closed_connections: AtomicU64,
}

/// A request in progress. Dropped, it has ended.
pub(crate) struct OpenRequest(Counters);

impl Counters {
    /// Counts an idle connection that was closed for a new one.
    pub(crate) fn add_closed_connection(&self) {
        self.0.closed_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed_connections(&self) -> u64 {
        self.0.closed_connections.load(Ordering::Relaxed)
    }

    pub(crate) fn add_upload(&self, client: &ClientName, result: UploadResult, bytes: u64) {
        let mut uploads = self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        *uploads.entry((client.clone(), result)).or_default() += 1;
        if result == UploadResult::Stored {
            let mut stored = self.0.stored_bytes.lock().unwrap_or_else(PoisonError::into_inner);
            *stored.entry(client.clone()).or_default() += bytes;
        }
    }

    pub(crate) fn uploads(&self, client: &ClientName, result: UploadResult) -> u64 {
        let uploads = self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.get(&(client.clone(), result)).copied().unwrap_or_default()
    }

    pub(crate) fn stored_bytes(&self, client: &ClientName) -> u64 {
        let stored = self.0.stored_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        stored.get(client).copied().unwrap_or_default()
    }

    /// Returns the uploads of each client that have ended, and the bytes that they stored.
    pub(crate) fn by_client(&self) -> BTreeMap<ClientName, ClientCounts> {
        let mut counts: BTreeMap<ClientName, ClientCounts> = BTreeMap::new();
        let uploads = self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        for ((client, _), count) in &*uploads {
            counts.entry(client.clone()).or_default().uploads += count;
        }
        drop(uploads);
        let stored = self.0.stored_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        for (client, bytes) in &*stored {
            counts.entry(client.clone()).or_default().stored_bytes = *bytes;
        }
        counts
    }

    pub(crate) fn begin_request(&self) -> OpenRequest {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        OpenRequest(self.clone())
    }

    /// Returns the number of requests in progress.
    pub(crate) fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_counted_by_client_and_result_and_requests_until_they_end() {
        let (counters, web) = (Counters::default(), ClientName::parse("web").unwrap());
        counters.add_upload(&web, UploadResult::Stored, 5);
        counters.add_upload(&web, UploadResult::Stored, 6);
        counters.add_upload(&web, UploadResult::Unchanged, 7);
        let found = UploadResult::ALL.map(|result| counters.uploads(&web, result));
        assert_eq!((found, counters.stored_bytes(&web)), ([2, 1, 0, 0], 11));
        let want = ClientCounts { uploads: 3, stored_bytes: 11 };
        assert_eq!(counters.by_client(), BTreeMap::from([(web.clone(), want)]));
        let open = [counters.begin_request(), counters.begin_request()];
        assert_eq!(counters.requests(), 2);
        drop(open);
        assert_eq!(counters.requests(), 0);
    }
}
