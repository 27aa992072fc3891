//! Uploads: from a request to an object in the bucket.
//!
//! [`admission`] decides, before the body is read, whether an upload may begin.
//! [`in_flight`] cancels an older upload of the same key. [`stage`] streams the
//! body into S3 and makes the object visible. [`record`] writes into the database how it ended.
//! [`metadata`] holds the facts that a client announces about a file.

pub(crate) mod admission;
mod in_flight;
pub(crate) mod metadata;
pub(crate) mod record;
pub(crate) mod stage;

use std::time::Duration;

use s3up_store::Store;
use tokio_util::task::TaskTracker;

use self::in_flight::InFlight;
use self::record::UploadRecorder;

/// Time for which a failing S3 call is retried before the request is refused.
pub(crate) const RETRY_FOR: Duration = Duration::from_secs(30);
/// Time that a request waits for a free buffer.
pub(crate) const BUFFER_WAIT: Duration = Duration::from_secs(10);

/// The state that all uploads share; clones share it too.
#[derive(Clone)]
pub(crate) struct Uploads {
    store: Store,
    in_flight: InFlight,
    recorder: UploadRecorder,
    /// Commits, which continue when their request is dropped.
    commits: TaskTracker,
}

impl Uploads {
    pub(crate) fn new(store: Store, recorder: UploadRecorder) -> Uploads {
        Uploads { store, recorder, in_flight: InFlight::default(), commits: TaskTracker::new() }
    }

    /// Waits until all commits are done.
    pub(crate) async fn finish_commits(&self) {
        self.commits.close();
        self.commits.wait().await;
    }
}
