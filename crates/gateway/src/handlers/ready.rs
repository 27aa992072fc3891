//! `GET /ready`: says whether the gateway can store files and record what it stored. It needs no
//! key, so it names no bucket and no host, and S3 is asked at most every few seconds.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use s3up_core::wire::Readiness;

use crate::gateway::Gateway;

/// Tells whether S3 and the database answer
#[utoipa::path(
    get, path = "/ready",
    responses(
        (status = 200, description = "Both answer", body = Readiness),
        (status = 503, description = "One of them does not", body = Readiness),
    )
)]
pub(crate) async fn ready(State(gateway): State<Gateway>) -> Response {
    let readiness: Readiness = gateway.readiness().await;
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}
