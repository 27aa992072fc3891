//! What stands before every call: who may come in, and which calls fail.

use std::future;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue, header};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::faults::{Cue, Fault, Faults, Met, Op};
use crate::options::Options;

/// The one pair of credentials.
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for Credentials {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key_id {
            return Ok(self.secret_access_key.clone());
        }
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        Err(S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, message))
    }
}

/// Travels with a request: what it has met, for the end of its work.
#[derive(Clone, Default)]
pub(crate) struct MetOfCall(Arc<Mutex<Option<Met>>>);

impl MetOfCall {
    fn set(&self, met: Met) {
        *self.0.lock().expect("no holder of this lock panics") = Some(met);
    }

    pub(crate) fn take(&self) -> Option<Met> {
        self.0.lock().expect("no holder of this lock panics").take()
    }

    /// Where the body of the request is to be cut.
    pub(crate) fn cut(&self) -> Option<(Cue, u64)> {
        let met = self.0.lock().expect("no holder of this lock panics");
        let cue = met.as_ref()?.cue.as_ref()?;
        match cue.fault {
            Fault::CutUpload { after_bytes } => Some((cue.clone(), after_bytes)),
            Fault::InternalError
            | Fault::AccessDenied
            | Fault::SlowDown { .. }
            | Fault::Stall
            | Fault::CutBody { .. }
            | Fault::FlipByte { .. }
            | Fault::LoseAnswer
            | Fault::LateInternalError
            | Fault::ErrorIn200
            | Fault::LateErrorIn200 => None,
        }
    }
}

pub(crate) struct Gate {
    pub(crate) faults: Faults,
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied"));
        }
        check_region(context.headers())?;
        let Some(op) = Op::named(context.s3_op().name()) else { return Ok(()) };
        let met = self.faults.meet(op, context.headers());
        let cue = met.cue.clone();
        if let Some(of_call) = context.extensions_mut().get::<MetOfCall>() {
            of_call.set(met);
        }
        match cue {
            Some(cue) => befall(cue).await,
            None => Ok(()),
        }
    }
}

/// A signature names the region that it is for: `Credential=ID/DAY/REGION/s3/...`.
fn check_region(headers: &HeaderMap) -> S3Result<()> {
    let signature = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scope = signature.and_then(|text| text.split("Credential=").nth(1));
    match scope.and_then(|scope| scope.split('/').nth(2)) {
        Some(region) if region != Options::REGION => {
            let message = format!(
                "The authorization header is malformed; the region '{region}' is wrong; \
                 expecting '{}'",
                Options::REGION
            );
            Err(S3Error::with_message(S3ErrorCode::AuthorizationHeaderMalformed, message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Lets a fault happen that comes before the work.
async fn befall(cue: Cue) -> S3Result<()> {
    match cue.fault {
        Fault::InternalError => {
            cue.fire();
            Err(S3Error::with_message(S3ErrorCode::InternalError, "injected"))
        }
        Fault::AccessDenied => {
            cue.fire();
            Err(S3Error::with_message(S3ErrorCode::AccessDenied, "injected"))
        }
        Fault::SlowDown { retry_after_seconds } => {
            cue.fire();
            Err(slow_down(retry_after_seconds))
        }
        Fault::Stall => {
            cue.fire();
            future::pending().await
        }
        // The answer to this is made when the call is over.
        Fault::ErrorIn200 => Err(S3Error::with_message(S3ErrorCode::InternalError, "injected")),
        Fault::CutUpload { .. }
        | Fault::CutBody { .. }
        | Fault::FlipByte { .. }
        | Fault::LoseAnswer
        | Fault::LateInternalError
        | Fault::LateErrorIn200 => Ok(()),
    }
}

fn slow_down(retry_after_seconds: Option<u64>) -> S3Error {
    let mut refusal =
        S3Error::with_message(S3ErrorCode::SlowDown, "Please reduce your request rate.");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Some(seconds) = retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    refusal.set_headers(headers);
    refusal
}
