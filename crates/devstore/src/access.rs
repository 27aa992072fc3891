//! The check before every call: credentials, region, and faults that replace the
//! work of the call.

use std::future;

use http::{HeaderMap, HeaderValue, header};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::faults::call_context::CallContext;
use crate::faults::registry::ArmedFault;
use crate::faults::{Fault, Faults, Op};
use crate::options::Options;

/// The only credentials that the server accepts.
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

pub(crate) struct AccessCheck {
    pub(crate) faults: Faults,
}

#[async_trait::async_trait]
impl S3Access for AccessCheck {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(denied());
        }
        check_region(context.headers())?;
        let Some(op) = Op::named(context.s3_op().name()) else { return Ok(()) };
        if self.faults.is_denied(op) {
            return Err(denied());
        }
        let query = context.uri().query().unwrap_or_default();
        if query.split('&').any(|pair| pair.starts_with("versionId=")) {
            self.faults.note_version(op);
        }
        let faults = self.faults.begin_call(op, context.headers());
        let armed = faults.armed.clone();
        if let Some(call) = context.extensions_mut().get::<CallContext>() {
            call.set(faults);
        }
        match armed {
            Some(armed) => apply_before_work(armed).await,
            None => Ok(()),
        }
    }
}

fn denied() -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied")
}

/// Checks the region in the signature: `Credential=ID/DAY/REGION/s3/...`.
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

/// Applies a fault that takes effect before the work.
async fn apply_before_work(armed: ArmedFault) -> S3Result<()> {
    match armed.fault {
        Fault::InternalError => {
            armed.fire();
            Err(S3Error::with_message(S3ErrorCode::InternalError, "injected fault"))
        }
        Fault::AccessDenied => {
            armed.fire();
            Err(S3Error::with_message(S3ErrorCode::AccessDenied, "injected fault"))
        }
        Fault::SlowDown { retry_after_seconds } => {
            armed.fire();
            Err(slow_down(retry_after_seconds))
        }
        Fault::Stall => {
            armed.fire();
            future::pending().await
        }
        // The transport replaces this error with a 200 that contains one.
        Fault::ErrorIn200 => {
            Err(S3Error::with_message(S3ErrorCode::InternalError, "injected fault"))
        }
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
