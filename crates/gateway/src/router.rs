//! The gateway's addresses.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use s3up_core::Code;
use s3up_core::wire::Health;

use crate::gateway::Gateway;
use crate::refusal::{Refusal, Refused};
use crate::{download, exists, form};

/// All addresses.
pub(crate) fn router(gateway: &Gateway) -> Router {
    Router::new()
        .route("/upload", post(form::post))
        .route("/files/", put(crate::put::put))
        .route("/files/{*path}", put(crate::put::put))
        .route("/exists", get(exists::exists))
        .route("/download", get(download::download))
        .route("/health", get(health))
        .fallback(no_such_address)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(log))
        .with_state(gateway.clone())
}

async fn health() -> Json<Health> {
    Json(Health { status: "UP".to_owned() })
}

async fn no_such_address(request: Request) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is nothing at {}", request.uri().path()))
}

async fn no_such_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(Code::MethodNotAllowed, format!("{path} does not take {method}"))
}

/// One line for every request that was refused, and for every file that came.
async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let address = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = began.elapsed().as_millis() as u64;
    match response.extensions().get::<Refused>() {
        Some(Refused(code, detail, cause)) => {
            let cause = cause.as_deref().unwrap_or_default();
            let code = format!("{code:?}");
            if status >= 500 {
                tracing::error!(event = "refused", %method, address, status, code, ms, cause, "{detail}");
            } else {
                tracing::info!(event = "refused", %method, address, status, code, ms, cause, "{detail}");
            }
        }
        None => tracing::debug!(event = "answered", %method, address, status, ms),
    }
    response
}
