//! Request bodies in JSON, read to their end within a limit.

use axum::extract::Request;
use s3up_core::{Code, Size};
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;

use super::json_memory::JsonPermit;
use super::{body, headers, integers};
use crate::clients::Client;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// Reads and parses the body of a request. A longer one than `bytes_max` is refused before it is
/// read, if its length is announced, and otherwise once it exceeds the limit. The permit counts its
/// memory and must be held as long as the value is.
pub(crate) async fn read<T: DeserializeOwned>(
    gateway: &Gateway,
    client: &Client,
    request: Request,
    bytes_max: u64,
) -> Result<(T, JsonPermit), Refusal> {
    let announced = headers::content_length(request.headers())?;
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let share = &client.resources.json_share;
    let permit = gateway.json_memory().take(share, announced.unwrap_or(bytes_max)).await?;
    let mut bytes = Vec::new();
    let mut body = body::reader(request.into_body()).take(bytes_max + 1);
    body.read_to_end(&mut bytes).await.map_err(|err| Refusal::from_body(&err))?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(bytes_max));
    }
    let wrong = |err| Refusal::new(Code::BadRequest, format!("the body is not valid: {err}"));
    Ok((integers::parse(&bytes).map_err(wrong)?, permit))
}

fn too_large(bytes_max: u64) -> Refusal {
    let what = format!("expected a body of at most {}, found a longer one", Size(bytes_max));
    Refusal::new(Code::TooLarge, what)
}
