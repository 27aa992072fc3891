//! The routes of the API, and the log line of each request.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use axum::{Extension, Router};
use s3up_core::Code;

use super::client_address::client_address;
use super::early_answer::answer;
use super::idle_connections::{Connection, ResponseBody};
use super::lingering::UnreadBytes;
use super::unparsed::Exchange;
use crate::api_document::openapi;
use crate::clock::CLOCK;
use crate::dashboard::{self, Peer};
use crate::gateway::Gateway;
use crate::handlers::backup_report::backup_report;
use crate::handlers::clients::{client, clients, reports};
use crate::handlers::download::download;
use crate::handlers::exists_many::exists_many;
use crate::handlers::exists_one::exists_one;
use crate::handlers::fleet::{heartbeat, report};
use crate::handlers::freeze::{freeze, release};
use crate::handlers::health::health;
use crate::handlers::list::list;
use crate::handlers::metrics::metrics;
use crate::handlers::patch_file::patch_file;
use crate::handlers::post_batch::post_batch;
use crate::handlers::post_form::post_form;
use crate::handlers::proof::proof;
use crate::handlers::put_file::put_file;
use crate::handlers::ready::ready;
use crate::handlers::versions::versions;
use crate::refusal::{Refusal, RefusalRecord, RefusedRequest};

/// Returns every path of the API with its methods.
fn routes() -> [(&'static str, MethodRouter<Gateway>); 21] {
    [
        ("/upload", post(post_form)),
        ("/files/{*path}", put(put_file).patch(patch_file)),
        ("/batch", post(post_batch)),
        ("/exists", get(exists_one).post(exists_many)),
        ("/proof", post(proof)),
        ("/list", get(list)),
        ("/versions", get(versions)),
        ("/download", get(download)),
        ("/clients", get(clients)),
        ("/clients/{name}", get(client)),
        ("/clients/{name}/freeze", post(freeze)),
        ("/clients/{name}/release", post(release)),
        ("/reports", get(reports)),
        ("/metrics", get(metrics)),
        ("/heartbeat", post(heartbeat)),
        ("/report", post(report)),
        ("/backup-report", post(backup_report)),
        ("/health", get(health)),
        ("/ready", get(ready)),
        ("/openapi.json", get(openapi)),
        // An empty path gets the refusal for a path, not the one for a URL.
        ("/files/", put(put_file).patch(patch_file)),
    ]
}

/// The state of one connection. It is an extension of each of its requests.
#[derive(Clone)]
pub(super) struct ConnectionState {
    pub peer: IpAddr,
    pub unread: UnreadBytes,
    pub connection: Connection,
    pub exchange: Exchange,
}

/// Returns the routes for the requests of all connections. Routes for each connection would take 60 KB of memory, which
/// an idle connection would hold, too.
pub(super) fn router(gateway: &Gateway) -> Router {
    let (logged, limited) = (gateway.clone(), gateway.clone());
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .merge(dashboard::routes())
        .fallback(unknown_url)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(
            move |Extension(of): Extension<ConnectionState>, request: Request, next: Next| {
                limit_failed_keys(limited.clone(), of.peer, request, next)
            },
        ))
        .layer(middleware::from_fn(
            |Extension(of): Extension<ConnectionState>, request: Request, next: Next| {
                answer(of.unread, request, next)
            },
        ))
        .layer(middleware::from_fn(dashboard::guard))
        .layer(middleware::from_fn(
            move |Extension(of): Extension<ConnectionState>, request: Request, next: Next| {
                log(logged.clone(), of.peer, request, next)
            },
        ))
        .layer(middleware::from_fn(
            |Extension(of): Extension<ConnectionState>, mut request: Request, next: Next| {
                request.extensions_mut().insert(Peer(of.peer));
                of.exchange.begin();
                async move { of.exchange.until_the_end_of(next.run(request).await) }
            },
        ))
        .layer(middleware::from_fn(
            |Extension(of): Extension<ConnectionState>, request: Request, next: Next| {
                keep_open(of.connection, request, next)
            },
        ))
        .with_state(gateway.clone())
}

/// Keeps the connection from being closed as an idle one until its response was handed over.
async fn keep_open(connection: Connection, request: Request, next: Next) -> Response {
    // Its sender is known only after its body was read, so it must not keep others out.
    if request.uri().path() == dashboard::SIGN_IN {
        return next.run(request).await;
    }
    let open = connection.begin_request();
    let response = next.run(request).await;
    response.map(|body| Body::new(ResponseBody { body, has_begun: false, _request: open }))
}

/// Returns the address of the client that sent a request.
fn address_of(peer: IpAddr, request: &Request, gateway: &Gateway) -> IpAddr {
    let fields = request.headers().get_all("x-forwarded-for").iter();
    let fields = fields.filter_map(|value| value.to_str().ok());
    client_address(peer, fields, &gateway.live().trusted_proxies)
}

async fn unknown_url(request: Request) -> Refusal {
    let path = request.uri().path();
    Refusal::new(
        Code::NotFound,
        format!("the API has no call {path}; GET /openapi.json lists its calls"),
    )
}

async fn unknown_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(Code::MethodNotAllowed, format!("{path} does not support {method}"))
}

/// Refuses the failed requests of an address that has too many of them. Without it, a stranger could
/// fill the log.
async fn limit_failed_keys(
    gateway: Gateway,
    peer: IpAddr,
    request: Request,
    next: Next,
) -> Response {
    let address = address_of(peer, &request, &gateway);
    let response = next.run(request).await;
    let refused = response.extensions().get::<RefusalRecord>();
    if refused.is_none_or(|refused| refused.code != Code::Unauthorized) {
        return response;
    }
    match gateway.failed_keys().count(address) {
        Ok(()) => response,
        Err(wait) => {
            let what =
                "too many requests without a valid client key from this address; try again later";
            Refusal::new(Code::RateLimited, what).retry_after(wait).into_response()
        }
    }
}

/// Logs one line for every request: refusals at level info or error, all others
/// at level debug.
async fn log(gateway: Gateway, peer: IpAddr, request: Request, next: Next) -> Response {
    let began = CLOCK.start();
    let _open = gateway.database().counters().begin_request();
    let method = request.method().clone();
    let authorization: Option<HeaderValue> = request.headers().get(header::AUTHORIZATION).cloned();
    let url_path = request.uri().path().to_owned();
    let peer = address_of(peer, &request, &gateway);
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let elapsed_seconds = began.elapsed().as_secs_f64();
    match response.extensions().get::<RefusalRecord>() {
        Some(record) => {
            let client = gateway.client(authorization.as_ref());
            record.log(&RefusedRequest {
                client: client.as_ref().map(|client| client.policy.name.as_str()),
                peer: Some(peer),
                method: &method,
                url_path: &url_path,
                path: None,
                elapsed_seconds: Some(elapsed_seconds),
            });
        }
        None => tracing::debug!(event = "request_done", %method, url_path, status, elapsed_seconds),
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_exactly_the_paths_of_the_routes() {
        let routes: BTreeSet<_> = routes().iter().map(|(path, _)| path.replace('*', "")).collect();
        let described: BTreeSet<_> = crate::api_document::paths().into_iter().collect();
        let only_in_routes: Vec<_> = routes.difference(&described).collect();
        assert_eq!(only_in_routes, ["/files/"]);
        assert_eq!(described.difference(&routes).count(), 0, "{described:?}");
    }
}
