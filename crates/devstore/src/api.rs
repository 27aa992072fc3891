//! The calls of S3, answered from the [`Store`].
//!
//! [`dispatch`] forwards each call to a method of [`Api`] in one of the other modules.
//! Such a method translates the request, does the work on the blocking pool, and
//! translates the result.

mod buckets;
mod copy;
mod dispatch;
mod fields;
mod lifecycle;
mod list;
mod list_request;
mod list_uploads;
mod list_versions;
mod read;
mod restore;
mod slice;
mod upload;
mod write;

use std::sync::Arc;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result};

use crate::behaviours::Behaviours;
use crate::storage::refusal::refusal;
use crate::storage::store::Store;

pub(crate) struct Api {
    store: Arc<Store>,
}

impl Api {
    pub(crate) fn new(store: Arc<Store>) -> Api {
        Api { store }
    }

    /// Runs `work` on the blocking pool. It is finished even if the client
    /// disconnects, as in S3.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        let working = tokio::task::spawn_blocking(move || work(&store));
        working.await.map_err(S3Error::internal_error)?
    }

    fn behaviours(&self) -> &Behaviours {
        &self.store.behaviours
    }

    /// Returns the error of a conditional write in the form that this server has for
    /// it: not all answer 404 if there is no object.
    fn write_error(&self, error: S3Error, is_if_match: bool) -> S3Error {
        let is_missing = is_if_match && *error.code() == S3ErrorCode::NoSuchKey;
        if is_missing { refusal(self.behaviours().if_match_of_missing) } else { error }
    }
}

/// Overrides the status of an answer. `s3s` has a field for it, but ignores that
/// field in some calls.
#[derive(Clone, Copy)]
pub(crate) struct AnswerStatus(pub(crate) StatusCode);

/// Replaces a text in the body of an answer, for servers whose documents differ.
#[derive(Clone, Copy)]
pub(crate) struct AnswerText {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

fn with_text<T>(output: T, text: Option<AnswerText>) -> S3Response<T> {
    let mut response = S3Response::new(output);
    if let Some(text) = text {
        response.extensions.insert(text);
    }
    response
}

fn with_status<T>(output: T, status: StatusCode) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(AnswerStatus(status));
    response
}
