//! One call to S3.
//!
//! All calls go through here, so that none can be without a time limit, none
//! fails without naming what was tried on which thing, and none that asks us to
//! slow down goes unheard.
//!
//! Not here: whether a failed call is repeated (`retry`).

use std::fmt::Display;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::connect::Store;
use crate::error::{Kind, StoreError};
use crate::pace::Pace;
use crate::throttle::asks_to_slow_down;

impl Store {
    /// A call that moves few bytes.
    pub(crate) async fn call<T, E>(
        &self,
        op: &'static str,
        subject: &impl Display,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.call_within(self.settings.patience.limit(0), op, subject, send).await
    }

    /// A call that is given up after `limit`.
    pub(crate) async fn call_within<T, E>(
        &self,
        limit: Duration,
        op: &'static str,
        subject: &impl Display,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answer = tokio::time::timeout(limit, send).await.ok();
        self.hear(answer.ok_or(limit), op, subject)
    }

    /// A call with a body of `len` bytes, which may have to wait for its turn.
    pub(crate) async fn call_paced<T, E>(
        &self,
        pace: Option<Pace>,
        len: u64,
        op: &'static str,
        subject: &impl Display,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let limit = self.limit_of(len, pace.as_ref());
        match pace {
            None => self.call_within(limit, op, subject, send).await,
            Some(pace) => {
                let answer = pace.while_it_moves(limit, send).await;
                self.hear(answer.ok_or(limit), op, subject)
            }
        }
    }

    /// Learns from an answer, or from none within a limit.
    fn hear<T, E>(
        &self,
        answer: Result<Result<T, SdkError<E, HttpResponse>>, Duration>,
        op: &'static str,
        subject: &impl Display,
    ) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match answer.map_err(|limit| no_answer(limit, op, subject))? {
            Ok(answer) => {
                self.throttle.succeeded();
                Ok(answer)
            }
            Err(err) => {
                if asks_to_slow_down(err.raw_response().map(|r| r.status().as_u16()), err.code()) {
                    self.throttle.asked_to_slow_down();
                }
                Err(StoreError::of_sdk(op, subject, &err))
            }
        }
    }
}

fn no_answer(limit: Duration, op: &'static str, subject: &impl Display) -> StoreError {
    let what = format!("no answer within {} s", limit.as_secs_f64());
    StoreError::new(op, subject, Kind::Transient).because(what)
}
