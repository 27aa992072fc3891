//! The dashboard: pages for the operator, rendered here and without a script, for a browser that signed in
//! with an admin key.
//!
//! [`routes`] are the pages. Each asks [`visit`] for the session of its browser, gathers facts by the same
//! queries as the API, and hands them to a pure function that returns HTML. `maud` escapes every text, and
//! [`text`] makes invisible characters visible: file names, host names and errors come from clients that may
//! be hostile. [`guard`] gives every answer its security policy, and a page to every refusal.
//!
//! Not here: the facts themselves (`fleet`, `database`), and the API, which needs a key in every request.

mod assets;
mod background;
mod bucket_watch;
mod chart;
mod client_facts;
mod client_page;
mod client_tables;
mod client_view;
mod cookie;
mod files_page;
mod files_view;
mod fix;
mod fleet_facts;
mod fleet_page;
mod fleet_table;
mod form;
mod gateway_page;
mod gateway_view;
mod history_pages;
mod history_view;
mod layout;
mod rates;
mod sessions;
mod sign_in;
pub(crate) mod state;
mod subvolume_table;
mod text;
mod visit;
mod widgets;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use maud::html;

pub(crate) use self::visit::{Peer, SIGN_IN};
use crate::gateway::Gateway;
use crate::refusal::RefusalRecord;

/// Start of the URL of every page but the first.
const BELOW: &str = "/dashboard/";

/// The policy of all pages: nothing but what this gateway serves, no script or style in the HTML itself, and
/// no frame around it. A referrer of `no-referrer` would also hide the origin of an action.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Returns the pages.
pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/", get(fleet_page::fleet))
        .route(visit::SIGN_IN, get(sign_in::form).post(sign_in::sign_in_with_key))
        .route("/dashboard/sign-out", post(sign_in::sign_out))
        .route("/dashboard/assets/{name}", get(assets::asset))
        .route("/dashboard/clients/{name}", get(client_page::client))
        .route("/dashboard/clients/{name}/freeze", post(client_page::freeze))
        .route("/dashboard/clients/{name}/release", post(client_page::release))
        .route("/dashboard/clients/{name}/files", get(files_page::files))
        .route("/dashboard/clients/{name}/versions", get(files_page::versions))
        .route("/dashboard/clients/{name}/download", get(files_page::download))
        .route("/dashboard/gateway", get(gateway_page::gateway))
        .route("/dashboard/reports", get(history_pages::reports))
        .route("/dashboard/alerts", get(history_pages::alerts))
}

/// Gathers facts for the pages, beside the requests.
pub(crate) fn run_in_background(gateway: &Gateway) {
    gateway.spawn(background::sample(gateway.clone()));
    gateway.spawn(background::watch_bucket(gateway.clone()));
}

/// Adds the security policy to every answer of the dashboard, and turns refusals into pages.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/" && !path.starts_with(BELOW) {
        return next.run(request).await;
    }
    let mut response = as_page(next.run(request).await);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

/// Returns a page in place of a problem document.
fn as_page(response: Response) -> Response {
    let refused = response.extensions().get::<RefusalRecord>().cloned();
    let is_page = response.headers().get(header::CONTENT_TYPE);
    let is_page = is_page.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let Some(refused) = refused.filter(|_| !is_page) else { return response };
    let (parts, _) = response.into_parts();
    let mut page = refusal_page(parts.status, &refused);
    for name in [header::RETRY_AFTER, header::CONNECTION, header::ALLOW] {
        if let Some(value) = parts.headers.get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page.extensions_mut().extend(parts.extensions);
    page
}

fn refusal_page(status: StatusCode, refused: &RefusalRecord) -> Response {
    let title = refused.code.title();
    let content = html! {
        section.refusal {
            h1 { (title) }
            p { (text::shown(&refused.detail)) }
            p.hint { "Status " (status.as_u16()) ". " a href="/" { "Go to the fleet" } "." }
        }
    };
    layout::plain_page(status, title, content)
}
