//! Signing in with an admin key, and signing out.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use s3up_core::{Code, Sha256Digest};

use super::cookie;
use super::form::Form;
use super::layout::plain_page;
use super::visit::{
    NotShown, SIGN_IN, action, is_https, local_page, redirect, refuse_other_sites, visit,
};
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::request::query;

/// Shows the form. A browser that is signed in goes to its page at once.
pub(super) async fn form(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let next = query::parameter(request.uri().query(), "next")?;
    let next = next.as_deref().and_then(local_page).unwrap_or("/");
    if visit(&gateway, &request).is_ok() {
        return Ok(redirect(next));
    }
    Ok(plain_page(StatusCode::OK, "Sign in", sign_in(next, None)))
}

/// Begins a session if the key is an admin key.
pub(super) async fn sign_in_with_key(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    refuse_other_sites(request.headers())?;
    let is_https = is_https(&gateway, &request);
    let form = Form::read(request).await?;
    let (key, next) = (form.text("key")?, form.text("next")?);
    let (key, next) = (key.trim(), local_page(&next).unwrap_or("/"));
    let live = gateway.live();
    if !live.admin_keys.contains(key) {
        let what = match live.clients.find(key) {
            Some(_) => "That is a client key. Expected an admin key (`admin_keys` in server.yaml).",
            None => {
                "The gateway does not know this key. Expected an admin key (`admin_keys` in server.yaml)."
            }
        };
        let refusal = Refusal::new(Code::Unauthorized, what);
        let (_, record) = refusal.into_problem();
        let mut response =
            plain_page(StatusCode::UNAUTHORIZED, "Sign in", sign_in(next, Some(what)));
        // For the log, and for the limit of requests without a valid key.
        response.extensions_mut().insert(record);
        return Ok(response);
    }
    let token = gateway.dashboard().sessions.begin(Sha256Digest::of(key.as_bytes()));
    let token = token.map_err(|err| {
        Refusal::new(Code::Internal, "the system has no random numbers").caused_by(&err)
    })?;
    tracing::info!(event = "dashboard_signed_in");
    with_cookie(redirect(next), &cookie::set(&token, is_https))
}

/// Ends the session.
pub(super) async fn sign_out(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, NotShown> {
    let (visit, _) = action(&gateway, request).await?;
    gateway.dashboard().sessions.end(&visit.token);
    Ok(with_cookie(redirect(SIGN_IN), &cookie::remove(visit.is_https))?)
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, Refusal> {
    let value = HeaderValue::try_from(cookie).map_err(|err| Refusal::new(Code::Internal, err))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response.into_response())
}

fn sign_in(next: &str, error: Option<&str>) -> Markup {
    html! {
        section.sign-in {
            h1 { "Sign in" }
            @if let Some(error) = error { p.error #error role="alert" { (error) } }
            form method="post" action=(SIGN_IN) {
                // For managers of passwords, which keep one for each user.
                input type="text" name="username" value="admin" autocomplete="username" hidden readonly;
                label for="key" { "Admin key" }
                input #key type="password" name="key" required autofocus autocomplete="current-password"
                    autocapitalize="none" spellcheck="false" aria-describedby=[error.map(|_| "error")];
                input type="hidden" name="next" value=(next);
                button.primary type="submit" { "Sign in" }
            }
            p.hint {
                "An admin key is one of " code { "admin_keys" } " or " code { "admin_keys_sha256" }
                " in server.yaml."
            }
        }
    }
}
