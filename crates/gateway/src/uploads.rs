//! Uploads: from a request to an object in the bucket.
//!
//! [`admission`] decides, before the body is read, whether an upload may begin.
//! [`in_flight`] cancels an older upload of the same key. [`stage`] streams the
//! body into S3 and makes the object visible. [`record`] writes into the database how it ended.
//! [`metadata`] holds the facts that a client announces about a file. `update_metadata` changes those of
//! a stored file.

pub(crate) mod admission;
mod existing;
mod in_flight;
pub(crate) mod metadata;
mod quota;
pub(crate) mod record;
pub(crate) mod stage;
mod stored_before;
mod turn;
mod update_metadata;

use std::time::Duration;

use s3up_store::Store;
use tokio_util::task::TaskTracker;

use self::in_flight::InFlight;
use self::record::UploadRecorder;
use crate::clients::Client;
use crate::database::Database;
use crate::freeze;
use crate::live::LiveConfig;
use crate::refusal::Refusal;

/// Time for which a failing S3 call is retried before the request is refused.
pub(crate) const RETRY_FOR: Duration = Duration::from_secs(30);

/// The state that all uploads share; clones share it too.
#[derive(Clone)]
pub(crate) struct Uploads {
    live: LiveConfig,
    database: Database,
    in_flight: InFlight,
    recorder: UploadRecorder,
    /// Commits, which continue when their request is dropped.
    commits: TaskTracker,
}

impl Uploads {
    pub(crate) fn new(live: LiveConfig, database: Database, recorder: UploadRecorder) -> Uploads {
        let (in_flight, commits) = (InFlight::default(), TaskTracker::new());
        Uploads { live, database, in_flight, recorder, commits }
    }

    fn store(&self) -> Store {
        self.live.get().store.clone()
    }

    /// Refuses to complete an upload whose key was removed meanwhile, or whose client was frozen.
    fn check_key(&self, client: &Client) -> Result<(), Refusal> {
        freeze::check(&self.database, &client.policy.name)?;
        self.live.get().clients.check_commit(client)
    }

    /// Waits until all commits are done.
    pub(crate) async fn finish_commits(&self) {
        self.commits.close();
        self.commits.wait().await;
    }
}
