//! The visit of a browser: its session, and whether a request comes from a page of this gateway.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::Code;

use super::cookie;
use super::form::Form;
use super::sessions::Session;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

pub(crate) const SIGN_IN: &str = "/dashboard/sign-in";
/// Request header of a live update, which keeps no session open.
const LIVE: HeaderName = HeaderName::from_static("x-s3up-live");
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The address of the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// A browser that is signed in.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub session: Session,
    pub token: String,
    pub is_https: bool,
}

/// The reason why a page is not shown.
#[derive(Debug)]
pub(super) enum NotShown {
    /// The browser has to sign in first. Then it returns to this page.
    SignInFirst(String),
    Refused(Refusal),
}

impl From<Refusal> for NotShown {
    fn from(refusal: Refusal) -> NotShown {
        NotShown::Refused(refusal)
    }
}

impl IntoResponse for NotShown {
    fn into_response(self) -> Response {
        match self {
            NotShown::SignInFirst(page) if page == "/" => redirect(SIGN_IN),
            NotShown::SignInFirst(page) => {
                let page = utf8_percent_encode(&page, NON_ALPHANUMERIC);
                redirect(&format!("{SIGN_IN}?next={page}"))
            }
            NotShown::Refused(refusal) => refusal.into_response(),
        }
    }
}

/// Returns the visit of a browser whose session is open and whose admin key is still configured.
pub(super) fn visit(gateway: &Gateway, request: &Request) -> Result<Visit, NotShown> {
    let is_https = is_https(gateway, request);
    let open = || {
        let fields = request.headers().get_all(header::COOKIE).iter();
        let token = cookie::token(fields.filter_map(|value| value.to_str().ok()), is_https)?;
        let renews = !request.headers().contains_key(LIVE);
        let session = gateway.dashboard().sessions.find(token, renews)?;
        let is_known = gateway.live().admin_keys.digests().any(|key| *key == session.key);
        if !is_known {
            gateway.dashboard().sessions.end(token);
        }
        is_known.then(|| Visit { session, token: token.to_owned(), is_https })
    };
    open().ok_or_else(|| NotShown::SignInFirst(page_after_sign_in(request)))
}

/// Returns the visit and the form of an action. It is refused unless it comes from a page of this session.
pub(super) async fn action(gateway: &Gateway, request: Request) -> Result<(Visit, Form), NotShown> {
    refuse_other_sites(request.headers())?;
    let visit = visit(gateway, &request)?;
    let form = Form::read(request).await?;
    if !visit.session.has_csrf(&form.text("csrf")?) {
        let what = "expected the token of this session, found another one or none; load the page again and \
                    repeat the action";
        return Err(Refusal::new(Code::Forbidden, what).into());
    }
    Ok((visit, form))
}

/// Returns true if the browser speaks HTTPS, to this gateway or to a trusted proxy.
pub(super) fn is_https(gateway: &Gateway, request: &Request) -> bool {
    if gateway.certificate().is_present() {
        return true;
    }
    let Some(Peer(peer)) = request.extensions().get() else { return false };
    let live = gateway.live();
    let is_trusted = live.trusted_proxies.iter().any(|network| network.contains(*peer));
    let proto = request.headers().get(FORWARDED_PROTO).and_then(|value| value.to_str().ok());
    is_trusted && proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// Refuses an action that a page of another site sends.
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Refusal> {
    if is_of_this_site(headers) {
        return Ok(());
    }
    let what = "expected a request from a page of this gateway, found one from another site";
    Err(Refusal::new(Code::Forbidden, what))
}

/// Decides by the headers that every browser sets and no page can change. Without them, the client is no
/// browser, or an old one that honours SameSite. Pure.
fn is_of_this_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Behind a proxy that changes `Host`, only this one is right; browsers send it over HTTPS.
    if headers.contains_key(SEC_FETCH_SITE) {
        return matches!(text(SEC_FETCH_SITE), Some("same-origin" | "none"));
    }
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    let host = text("host");
    origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

fn page_after_sign_in(request: &Request) -> String {
    match *request.method() {
        Method::GET => {
            let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
            local_page(page).unwrap_or("/").to_owned()
        }
        _ => "/".to_owned(),
    }
}

/// Returns `page` if it is a page of the dashboard, so that a link cannot lead a browser elsewhere. Pure.
pub(super) fn local_page(page: &str) -> Option<&str> {
    let is_plain = page.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_known = page == "/" || page.starts_with("/?") || page.starts_with("/dashboard/");
    (is_plain && is_known && !page.starts_with(SIGN_IN)).then_some(page)
}

/// Leads a browser to another page by GET.
pub(super) fn redirect(page: &str) -> Response {
    match HeaderValue::try_from(page) {
        Ok(page) => (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response(),
        Err(err) => Refusal::new(Code::Internal, err).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_of_another_site_is_noticed() {
        #[rustfmt::skip]
        let cases: [(&[(&str, &str)], bool); 11] = [
            (&[],                                                                  true),
            (&[("sec-fetch-site", "same-origin")],                                 true),
            (&[("sec-fetch-site", "none")],                                        true),
            (&[("sec-fetch-site", "cross-site")],                                  false),
            // Another host of the same domain.
            (&[("sec-fetch-site", "same-site")],                                   false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false),
            (&[("origin", "http://a:8080"), ("host", "A:8080")],                   true),
            (&[("origin", "http://a:8081"), ("host", "a:8080")],                   false),
            (&[("origin", "http://evil"), ("host", "a")],                          false),
            (&[("origin", "null"), ("host", "a")],                                 false),
            (&[("origin", "http://a")],                                            false),
        ];
        for (fields, want) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(is_of_this_site(&headers), want, "{fields:?}");
        }
    }

    #[test]
    fn a_sign_in_leads_to_a_page_of_the_dashboard_only() {
        #[rustfmt::skip]
        let cases = [
            ("/",                              true),
            ("/?state=late",                   true),
            ("/dashboard/clients/web-07",      true),
            ("/dashboard/gateway?a=%0A",       true),
            ("/dashboard/sign-in?next=/",      false),
            ("//evil.example",                 false),
            ("/\\evil.example",                false),
            ("https://evil.example/dashboard/", false),
            ("/dashboard/\r\nset-cookie: a",   false),
            ("/clients",                       false),
            ("",                               false),
        ];
        for (page, want) in cases {
            assert_eq!(local_page(page).is_some(), want, "{page:?}");
        }
    }
}
