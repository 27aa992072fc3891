//! Parses responses: a success into its type, a refusal into its code.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use s3up_core::Code;
use s3up_core::wire::{PROBLEM_TYPE, Problem};
use serde::de::DeserializeOwned;

use crate::error::{GatewayError, Refusal};
use crate::timeouts;

/// Maximum length of most responses. The gateway's have a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Parses an answer of the usual length.
pub async fn json<T: DeserializeOwned>(response: Response) -> Result<T, GatewayError> {
    json_of(response, ANSWER_BYTES_MAX).await
}

/// Parses an answer of at most `bytes_max` bytes.
pub async fn json_of<T: DeserializeOwned>(
    response: Response,
    bytes_max: usize,
) -> Result<T, GatewayError> {
    let body = body(check_status(response).await?, bytes_max).await?;
    serde_json::from_slice(&body)
        .map_err(|err| GatewayError::InvalidAnswer { what: err.to_string() })
}

/// Parses an answer whose body has the same form with every status.
pub async fn json_of_any_status<T: DeserializeOwned>(
    response: Response,
) -> Result<T, GatewayError> {
    let status = response.status();
    let body = body(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|err| GatewayError::InvalidAnswer {
        what: format!("{err} (status {})", status.as_u16()),
    })
}

/// Returns the response if its status is a success.
pub async fn check_status(response: Response) -> Result<Response, GatewayError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_redirection() {
        return Err(GatewayError::Redirected { status: status.as_u16() });
    }
    Err(refused(response).await)
}

async fn refused(response: Response) -> GatewayError {
    let status = response.status();
    let retry_after = retry_after(&response);
    let problem = is_problem(&response);
    // A refusal without a readable body is still a refusal.
    let body = body(response, ANSWER_BYTES_MAX).await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(Problem { code, detail, .. }) if problem => {
            let status = status.as_u16();
            GatewayError::Refused(Refusal { status, code, detail, retry_after })
        }
        Ok(_) | Err(_) => GatewayError::NotTheGateway(foreign_refusal(status, retry_after)),
    }
}

/// Interprets a status that the gateway did not send, by its general meaning.
fn foreign_refusal(status: StatusCode, retry_after: Option<Duration>) -> Refusal {
    let code = match status {
        StatusCode::UNAUTHORIZED => Code::Unauthorized,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
        _ => Code::Unknown,
    };
    let detail = status.canonical_reason().unwrap_or("no reason given").to_owned();
    Refusal { status: status.as_u16(), code, detail, retry_after }
}

fn is_problem(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with(PROBLEM_TYPE))
}

/// Reads the form in seconds only: the form with a date depends on two clocks.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn body(mut response: Response, bytes_max: usize) -> Result<Bytes, GatewayError> {
    let mut body = BytesMut::new();
    loop {
        let chunk = tokio::time::timeout(timeouts::IDLE, response.chunk()).await;
        match chunk
            .map_err(|_| GatewayError::Stalled(timeouts::IDLE))?
            .map_err(GatewayError::unreachable)?
        {
            None => return Ok(body.freeze()),
            Some(chunk) if body.len() + chunk.len() <= bytes_max => {
                body.extend_from_slice(&chunk);
            }
            Some(_) => {
                let what = format!("expected at most {bytes_max} bytes, found more");
                return Err(GatewayError::InvalidAnswer { what });
            }
        }
    }
}
