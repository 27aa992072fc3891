//! The frame of every page.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::text::shown;
use super::visit::Visit;
use super::widgets::time;
use crate::clock::Millis;

/// Seconds between two live updates of a page.
const LIVE_SECONDS: u32 = 10;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The pages of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Fleet,
    Gateway,
    Reports,
    Alerts,
    /// A page that is in none of them.
    Other,
}

const NAVIGATION: [(Section, &str, &str); 4] = [
    (Section::Fleet, "/", "Fleet"),
    (Section::Gateway, "/dashboard/gateway", "Gateway"),
    (Section::Reports, "/dashboard/reports", "Reports"),
    (Section::Alerts, "/dashboard/alerts", "Alerts"),
];

/// The frame of a page for a browser that is signed in.
pub(super) struct Frame<'v> {
    pub visit: &'v Visit,
    pub section: Section,
    pub title: String,
    pub now: Millis,
    /// True if the page is updated while it is shown.
    pub is_live: bool,
}

impl Frame<'_> {
    pub(super) fn page(&self, content: Markup) -> Response {
        let bar = html! {
            nav aria-label="Pages" {
                @for (section, url, name) in NAVIGATION {
                    a href=(url) aria-current=[(section == self.section).then_some("page")] { (name) }
                }
            }
            form method="post" action="/dashboard/sign-out" {
                (csrf(self.visit))
                button type="submit" { "Sign out" }
            }
        };
        let live = self.is_live.then_some(LIVE_SECONDS);
        let foot = html! {
            "As of " (time(self.now, self.now)) ". "
            @if live.is_some() { span #live-status role="status" {} }
        };
        document(&self.title, bar, live, content, foot).into_response()
    }
}

/// Returns the hidden field that every action has to send.
pub(super) fn csrf(visit: &Visit) -> Markup {
    html! { input type="hidden" name="csrf" value=(visit.session.csrf); }
}

/// Returns a page for a browser that is not signed in, or of which that is not known.
pub(super) fn plain_page(status: StatusCode, title: &str, content: Markup) -> Response {
    (status, document(title, html! {}, None, content, html! {})).into_response()
}

fn document(title: &str, bar: Markup, live: Option<u32>, content: Markup, foot: Markup) -> Html {
    Html(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                meta name="color-scheme" content="light dark";
                title { (shown(title)) " – s3up" }
                link rel="icon" href=(ICON.url()) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE.url());
                script src=(SCRIPT.url()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header { a.brand href="/" { "s3up" } (bar) }
                main #main tabindex="-1" data-live=[live] { (content) }
                footer { (foot) "s3up-server " (VERSION) }
            }
        }
    })
}

/// A page, with its content type.
struct Html(Markup);

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        ([(header::CONTENT_TYPE, html)], self.0.into_string()).into_response()
    }
}
