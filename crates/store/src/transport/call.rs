//! A single call to S3.
//!
//! Every call goes through here: so each has a time limit, each error names the
//! operation and its subject, and each request to slow down reaches the throttle.
//!
//! A future of the SDK has 16 KB. It is put on the heap at once: otherwise every future that
//! contains a call, up to that of a whole request, would contain several of them.
//!
//! Not here: whether a failed call is retried (`retry`).

use std::fmt::Display;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::time::Instant;

use crate::clock;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::connect::Store;
use crate::transport::pace::Pacer;
use crate::transport::throttle::asks_to_slow_down;

impl Store {
    /// Makes a call that transfers few bytes.
    pub(crate) fn call<T, E>(
        &self,
        op: Operation,
        subject: &impl Display,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> impl Future<Output = Result<T, StoreError>>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.call_within(self.settings.timeouts.limit(0), op, subject, send)
    }

    /// Makes a call that is cancelled after `limit`.
    pub(crate) fn call_within<T, E>(
        &self,
        limit: Duration,
        op: Operation,
        subject: &impl Display,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> impl Future<Output = Result<T, StoreError>>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let send = Box::pin(send);
        async move {
            let began = clock::now();
            let answer = tokio::time::timeout(limit, send).await.ok();
            self.count(began, &answer);
            let answer = self.learn_from(answer.ok_or(limit), op, subject);
            self.reachability.record(began, answer.as_ref().err().map(|err| err.kind));
            answer
        }
    }

    /// Makes a call with a body of `len` bytes, which the bandwidth limit may slow
    /// down.
    pub(crate) fn call_paced<T, E>(
        &self,
        pacer: Option<Pacer>,
        len: u64,
        op: Operation,
        subject: &impl Display,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> impl Future<Output = Result<T, StoreError>>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let send = Box::pin(send);
        async move {
            let limit = self.stall_limit(len, pacer.as_ref());
            let began = clock::now();
            let answer = match pacer {
                None => tokio::time::timeout(limit, send).await.ok(),
                Some(pacer) => pacer.while_progressing(limit, send).await,
            };
            self.count(began, &answer);
            let answer = self.learn_from(answer.ok_or(limit), op, subject);
            self.reachability.record(began, answer.as_ref().err().map(|err| err.kind));
            answer
        }
    }

    fn count<T, E>(&self, began: Instant, answer: &Option<Result<T, E>>) {
        let elapsed = clock::now().duration_since(began);
        self.call_counters.add(matches!(answer, Some(Ok(_))), elapsed);
    }

    /// Converts an answer, or a timeout, and tells the throttle about it.
    fn learn_from<T, E>(
        &self,
        answer: Result<Result<T, SdkError<E, HttpResponse>>, Duration>,
        op: Operation,
        subject: &impl Display,
    ) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match answer.map_err(|limit| timed_out(limit, op, subject))? {
            Ok(answer) => {
                self.throttle.on_success();
                Ok(answer)
            }
            Err(err) => {
                if asks_to_slow_down(err.raw_response().map(|r| r.status().as_u16()), err.code()) {
                    self.throttle.on_slow_down();
                }
                Err(StoreError::of_sdk(op, subject, &err))
            }
        }
    }
}

fn timed_out(limit: Duration, op: Operation, subject: &impl Display) -> StoreError {
    let what = format!("no answer within {} s", limit.as_secs_f64());
    StoreError::new(op, subject, StoreErrorKind::Transient).with_cause(what)
}
