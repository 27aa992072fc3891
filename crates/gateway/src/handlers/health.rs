//! `GET /health`: answers while the process serves.

use axum::Json;
use s3up_core::wire::Health;

/// Answers while the process serves
#[utoipa::path(
    get, path = "/health",
    responses((status = 200, description = "The process serves", body = Health))
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "UP".to_owned() })
}
