//! The routes of the API, and the log line of each request.

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use s3up_core::Code;
use s3up_core::wire::Health;

use crate::gateway::Gateway;
use crate::handlers::download::download;
use crate::handlers::exists::exists;
use crate::handlers::fleet::{heartbeat, report};
use crate::handlers::list::list;
use crate::handlers::post_form::post_form;
use crate::handlers::put_file::put_file;
use crate::handlers::ready::ready;
use crate::handlers::verdicts::verdicts;
use crate::handlers::versions::versions;
use crate::refusal::{Refusal, RefusalRecord};
use crate::stopwatch::Stopwatch;

pub(crate) fn router(gateway: &Gateway) -> Router {
    Router::new()
        .route("/upload", post(post_form))
        // An empty path gets the refusal for a path, not the one for a URL.
        .route("/files/", put(put_file))
        .route("/files/{*path}", put(put_file))
        .route("/exists", get(exists).post(verdicts))
        .route("/list", get(list))
        .route("/versions", get(versions))
        .route("/download", get(download))
        .route("/heartbeat", post(heartbeat))
        .route("/report", post(report))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(unknown_url)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(log))
        .with_state(gateway.clone())
}

async fn health() -> Json<Health> {
    Json(Health { status: "UP".to_owned() })
}

async fn unknown_url(request: Request) -> Refusal {
    let path = request.uri().path();
    Refusal::new(Code::NotFound, format!("the API has no {path}; docs/api.md lists its calls"))
}

async fn unknown_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(Code::MethodNotAllowed, format!("{path} does not support {method}"))
}

/// Logs one line for every request: refusals at level info or error, all others
/// at level debug.
async fn log(request: Request, next: Next) -> Response {
    let began = Stopwatch::start();
    let method = request.method().clone();
    let url_path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let elapsed_seconds = began.elapsed().as_secs_f64();
    match response.extensions().get::<RefusalRecord>() {
        Some(RefusalRecord { code, detail, cause }) => {
            let cause = cause.as_deref().unwrap_or_default();
            let code = serde_json::to_value(code).unwrap_or_default();
            let code = code.as_str().unwrap_or_default();
            if status >= 500 {
                tracing::error!(event = "request_refused", %method, url_path, status, code, elapsed_seconds, cause, "{detail}");
            } else {
                tracing::info!(event = "request_refused", %method, url_path, status, code, elapsed_seconds, cause, "{detail}");
            }
        }
        None => tracing::debug!(event = "request_done", %method, url_path, status, elapsed_seconds),
    }
    response
}
