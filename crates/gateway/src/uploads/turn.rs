//! The turn of an upload: it ends with the upload, in whatever way that ends.

use s3up_core::{ClientName, Code, Key};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::Uploads;
use crate::database::{HoldError, Turn};
use crate::refusal::{Refusal, SUPERSEDED};

/// A turn that ends when this is dropped, beside the request.
pub(super) struct UploadTurn {
    /// `None`: the key is none of a file.
    turn: Option<Turn>,
    commits: TaskTracker,
}

impl Uploads {
    /// Takes the turn of an upload, after which no older one of another gateway becomes visible.
    pub(super) async fn take_turn(&self, client: &ClientName, key: &Key) -> UploadTurn {
        let turn = match self.recorder.path(client, key) {
            Some(path) => Some(self.database.take_turn(client, &path).await),
            None => None,
        };
        UploadTurn { turn, commits: self.commits.clone() }
    }
}

impl UploadTurn {
    pub(super) async fn hold(&self) -> Result<(), HoldError> {
        match &self.turn {
            Some(turn) => turn.hold().await,
            None => Ok(()),
        }
    }

    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.turn {
            Some(turn) => turn.run(work).await,
            None => work.await,
        }
    }
}

impl Drop for UploadTurn {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the row with the turn becomes old.
        if let (Some(turn), Ok(runtime)) = (self.turn.take(), Handle::try_current()) {
            self.commits.spawn_on(turn.end(), &runtime);
        }
    }
}

impl From<HoldError> for Refusal {
    fn from(err: HoldError) -> Refusal {
        match err {
            HoldError::Superseded => Refusal::new(Code::Superseded, SUPERSEDED),
            HoldError::Busy => {
                let what = "another upload of this path has not ended; send the file again later";
                Refusal::new(Code::StoreUnavailable, what)
            }
        }
    }
}
