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
use s3s::{S3Error, S3Response, S3Result, dto};

use crate::model::precondition::Precondition;
use crate::options::Conditions;
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

    /// Returns the condition of a write; none if the server ignores conditions.
    fn precondition(
        &self,
        if_match: Option<dto::IfMatch>,
        if_none_match: Option<dto::IfNoneMatch>,
    ) -> S3Result<Precondition> {
        match self.store.conditions {
            Conditions::Honoured => Precondition::parse(if_match, if_none_match),
            Conditions::Ignored => Ok(Precondition::None),
        }
    }
}

/// Overrides the status of an answer. `s3s` has a field for it, but ignores that
/// field in some calls.
#[derive(Clone, Copy)]
pub(crate) struct AnswerStatus(pub(crate) StatusCode);

fn with_status<T>(output: T, status: StatusCode) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(AnswerStatus(status));
    response
}
