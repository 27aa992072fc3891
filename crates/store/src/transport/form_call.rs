//! A call in the form of the SDK's.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_runtime_api::client::http::HttpConnector;

use crate::clock;
use crate::error::{Operation, StoreError};
use crate::transport::connect::Store;
use crate::transport::request_form::FormCall;

/// Result of a call in the learned form.
pub(crate) enum FormAnswer {
    Success(Box<HttpResponse>),
    /// S3 answered with this status, which is no success.
    Failure {
        status: u16,
    },
    /// No form is known, or there is no valid request.
    Unsuitable,
}

impl Store {
    /// Makes a call that is cancelled after `limit`, if the form is known. After a failure other than 404 and
    /// 416 the form is forgotten.
    ///
    /// # Errors
    ///
    /// S3 did not answer.
    pub(crate) async fn call_by_form(
        &self,
        limit: Duration,
        op: Operation,
        call: FormCall<'_>,
    ) -> Result<FormAnswer, StoreError> {
        let Some(form) = self.request_forms.get() else { return Ok(FormAnswer::Unsuitable) };
        let Ok(credentials) = self.credentials.provide_credentials().await else {
            return Ok(FormAnswer::Unsuitable);
        };
        let key = call.key;
        let Ok(request) = form.request(&call, (credentials, clock::wall_now())) else {
            return Ok(FormAnswer::Unsuitable);
        };
        let failure = AtomicU16::new(0);
        let send = async {
            let answer = form.connector.call(request).await.map_err(SdkError::dispatch_failure)?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            failure.store(answer.status().as_u16(), Ordering::Relaxed);
            // The type is that of any call.
            Err(SdkError::<GetObjectError, _>::response_error("the SDK asks again", answer))
        };
        let answer = self.call_within(limit, op, key, send).await;
        match (answer, failure.into_inner()) {
            (Ok(answer), _) => Ok(FormAnswer::Success(Box::new(answer))),
            (Err(_), status @ (404 | 416)) => Ok(FormAnswer::Failure { status }),
            (Err(err), status) => {
                self.request_forms.forget();
                if status == 0 { Err(err) } else { Ok(FormAnswer::Failure { status }) }
            }
        }
    }

    /// Notes that the SDK succeeded with a call, after one in the form was answered with `failure`.
    pub(crate) fn sdk_succeeded(&self, key: &s3up_core::Key, failure: Option<u16>) {
        match failure.is_some_and(is_refusal) {
            true => self.request_forms.refuse(),
            false => self.request_forms.learn(key),
        }
    }
}

/// Returns true if the status says that the request is wrong, and not that S3 is in trouble.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 429)
}
