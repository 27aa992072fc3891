//! The sessions and actions of the dashboard over HTTP, without a browser.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use s3up_devstore::Versioning;
use s3up_server::{SHUTDOWN_GRACE, Timeouts, TlsFiles};
use serde_json::json;

use crate::fixture::{KEY, Serving, World, config, stored};
use crate::process::s3;
use crate::running::Running;

pub const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
const OTHER_ADMIN_KEY: &str = "s3up_other_0123456789012345678901234567890123";
pub const PAGES: [&str; 7] = [
    "/",
    "/dashboard/clients/webapp",
    "/dashboard/clients/webapp/files",
    "/dashboard/clients/webapp/files?find=a",
    "/dashboard/gateway",
    "/dashboard/reports",
    "/dashboard/alerts",
];
/// Text that would do harm if a page took it for HTML, or for text in another direction.
pub const HOSTILE: &str =
    "<img src=x onerror=alert(1)>\"'&amp;</td>\u{202e}gpj.exe\n<script>alert(2)</script>";

/// A browser without a screen: it follows no redirect, and keeps one cookie.
pub struct Browser {
    pub url: String,
    http: Client,
    cookie: Option<String>,
}

impl Browser {
    pub fn new(url: &str) -> Browser {
        Browser::with(url, Client::builder())
    }

    fn with(url: &str, builder: reqwest::ClientBuilder) -> Browser {
        let http = builder.redirect(Policy::none()).build().expect("a client");
        Browser { url: url.to_owned(), http, cookie: None }
    }

    fn request(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub async fn get(&self, page: &str) -> Response {
        let request = self.request(self.http.get(format!("{}{page}", self.url)));
        request.send().await.expect("a response")
    }

    /// Returns a page that is shown.
    pub async fn page(&self, page: &str) -> String {
        let response = self.get(page).await;
        let status = response.status();
        let text = response.text().await.expect("a page");
        assert_eq!(status, StatusCode::OK, "{page}: {text}");
        text
    }

    fn form(&self, page: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let encode = |text: &str| {
            text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
        };
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = self.http.post(format!("{}{page}", self.url)).body(fields.join("&"));
        self.request(request.header("content-type", "application/x-www-form-urlencoded"))
    }

    pub async fn post(&self, page: &str, fields: &[(&str, &str)]) -> Response {
        self.form(page, fields).send().await.expect("a response")
    }

    /// Signs in and keeps the cookie. Returns its attributes.
    pub async fn sign_in(&mut self, key: &str) -> String {
        let response = self.post("/dashboard/sign-in", &[("key", key), ("next", "/")]).await;
        assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/"));
        let cookie = response.headers()["set-cookie"].to_str().expect("text");
        let (pair, attributes) = cookie.split_once(';').expect("attributes");
        self.cookie = Some(pair.to_owned());
        attributes.trim().to_owned()
    }

    /// Returns the token that the pages of the session have.
    async fn csrf(&self) -> String {
        let page = self.page("/dashboard/gateway").await;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a token");
        rest.split_once('"').expect("its end").0.to_owned()
    }
}

fn location(response: &Response) -> &str {
    response.headers().get("location").map_or("", |value| value.to_str().expect("text"))
}

pub fn with_admin(config: String) -> String {
    format!("{config}\nadmin_keys: [{ADMIN_KEY}, {OTHER_ADMIN_KEY}]\n")
}

pub async fn world() -> World {
    World::with(Versioning::Enabled, with_admin).await
}

pub async fn signed_in(world: &World) -> Browser {
    let mut browser = Browser::new(&world.url);
    browser.sign_in(ADMIN_KEY).await;
    browser
}

/// Sends a heartbeat and a report with a text in every place that takes one.
pub async fn report(world: &World, key: &str, text: &str) {
    let now = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let none = json!({"files": 0, "bytes": 0});
    let files = json!({"protected": {"files": 3, "bytes": 9}, "pending": none, "baseline": none,
                       "excluded": none, "problems": {"files": 1, "bytes": 1}});
    let heartbeat = json!({
        "version": 1, "files": files, "last_scan_at": text, "watch_error": text,
        "agent": {"version": text, "host": text, "started_at": text},
        "watcher": {"state": text, "detail": text},
        "last_drill": {"at": text, "files": 1, "bytes": 1, "failed": 1, "last_good_at": text},
        "watches": {"total": 12, "list": [
            {"path": text, "prefix": text, "recursive": false, "mode": text, "files": files,
             "error": text},
            {"path": "/srv/second", "prefix": "", "recursive": true, "mode": "scans",
             "files": files, "last_scan_age_seconds": 7200},
        ]},
    });
    let mut report = heartbeat.clone();
    report["day"] = json!(day.to_string());
    report["uploaded"] = none;
    report["problems"] = json!([{"path": text, "reason": text, "since": text}]);
    let backups = json!({
        "version": 1, "program": {"version": text, "host": text}, "command": text,
        "subvolumes": [{"name": text, "problem": text, "unreadable": text, "observed_at": text,
                        "last_run": {"at": text, "outcome": "failed", "error": text},
                        "last_drill": {"at": text, "error": text},
                        "last_verify": {"at": text, "error": text}}],
    });
    let calls = [("/heartbeat", heartbeat), ("/backup-report", backups), ("/report", report)];
    for (call, body) in calls {
        let request = world.http.post(format!("{}{call}", world.url)).bearer_auth(key).json(&body);
        let answer = request.send().await.expect("a response");
        assert_eq!(answer.status(), StatusCode::OK, "{call}");
    }
}

#[tokio::test]
async fn every_page_needs_a_session_and_returns_to_itself_after_the_sign_in() {
    let world = world().await;
    stored(world.put("a.txt", "hello")).await;
    let mut browser = Browser::new(&world.url);
    for page in PAGES {
        let response = browser.get(page).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{page}");
        let to = location(&response).to_owned();
        assert!(to.starts_with("/dashboard/sign-in"), "{page}: {to}");
        assert_eq!(to.contains("?next="), page != "/", "{page}: {to}");
        assert!(browser.get(&to).await.text().await.unwrap().contains("Admin key"), "{to}");
    }
    for action in ["sign-out", "clients/webapp/freeze", "clients/webapp/release"] {
        let response = browser.post(&format!("/dashboard/{action}"), &[("csrf", "x")]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{action}");
    }
    let download = "/dashboard/clients/webapp/download?path=a.txt";
    assert_eq!(browser.get(download).await.status(), StatusCode::SEE_OTHER);

    browser.sign_in(ADMIN_KEY).await;

    for page in PAGES {
        assert!(browser.page(page).await.contains("Sign out"), "{page}");
    }
    let again = browser.get("/dashboard/sign-in?next=%2Fdashboard%2Fgateway").await;
    assert_eq!(location(&again), "/dashboard/gateway");
    let elsewhere = browser.get("/dashboard/sign-in?next=%2F%2Fevil.example").await;
    assert_eq!(location(&elsewhere), "/");
    world.stop().await;
}

#[tokio::test]
async fn only_an_admin_key_signs_in_and_a_session_is_no_key() {
    let world = world().await;
    let browser = Browser::new(&world.url);
    for (key, words) in
        [("wrong", "does not know"), (KEY, "is a client key"), ("", "does not know")]
    {
        let response = browser.post("/dashboard/sign-in", &[("key", key), ("next", "/")]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{key}");
        assert!(response.headers().get("set-cookie").is_none(), "{key}");
        let page = response.text().await.expect("a page");
        assert!(page.contains(words) && page.contains("Admin key"), "{page}");
        assert!(key.is_empty() || !page.contains(key), "a page shows no key");
    }
    let browser = signed_in(&world).await;
    for call in ["/clients", "/reports", "/metrics", "/list"] {
        assert_eq!(browser.get(call).await.status(), StatusCode::UNAUTHORIZED, "{call}");
    }
    let other = browser.get("/dashboard/clients/unknown").await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    assert!(other.text().await.unwrap().contains("<!DOCTYPE html>"), "a refusal is a page");
    world.stop().await;
}

#[tokio::test]
async fn wrong_keys_are_limited_by_address() {
    let world = world().await;
    let browser = Browser::new(&world.url);
    let mut last = StatusCode::OK;
    for _ in 0..110 {
        last = browser.post("/dashboard/sign-in", &[("key", "wrong")]).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let page = browser.post("/dashboard/sign-in", &[("key", "wrong")]).await;
    assert!(page.headers().contains_key("retry-after"), "{:?}", page.headers());
    assert!(page.text().await.unwrap().contains("<!DOCTYPE html>"));
    signed_in(&world).await;
    world.stop().await;
}

#[tokio::test]
async fn an_action_needs_the_token_of_the_session_and_a_page_of_this_site() {
    let world = world().await;
    let browser = signed_in(&world).await;
    let (token, other) = (browser.csrf().await, signed_in(&world).await.csrf().await);
    let freeze = "/dashboard/clients/webapp/freeze";
    let is_frozen = async || {
        let page = browser.page("/dashboard/clients/webapp").await;
        page.contains("Uploads are frozen")
    };
    for wrong in ["", "x", &other] {
        let response = browser.post(freeze, &[("csrf", wrong), ("reason", "x")]).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{wrong}");
    }
    assert_eq!(browser.post(freeze, &[]).await.status(), StatusCode::FORBIDDEN);
    #[rustfmt::skip]
    let sites = [
        ("sec-fetch-site", "cross-site".to_owned(), false),
        ("sec-fetch-site", "same-site".to_owned(),  false),
        ("origin",         "https://evil.example".to_owned(), false),
        ("origin",         "null".to_owned(), false),
        ("origin",         world.url.clone(), true),
        ("sec-fetch-site", "same-origin".to_owned(), true),
    ];
    for (header, value, may) in sites {
        let fields = [("csrf", token.as_str()), ("reason", HOSTILE.lines().next().unwrap())];
        let request = browser.form(freeze, &fields).header(header, &value);
        let status = request.send().await.expect("a response").status();
        let want = if may { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!((status, is_frozen().await), (want, may), "{header} {value}");
        if may {
            let released =
                browser.post("/dashboard/clients/webapp/release", &[("csrf", &token)]).await;
            assert_eq!(location(&released), "/dashboard/clients/webapp");
            assert!(!is_frozen().await);
        }
        // The sign-in has no session yet, and is refused all the same.
        let sign_in =
            browser.form("/dashboard/sign-in", &[("key", ADMIN_KEY)]).header(header, &value);
        let status = sign_in.send().await.expect("a response").status();
        assert_eq!(status == StatusCode::SEE_OTHER, may, "{header} {value}");
    }
    let long = browser.post(freeze, &[("csrf", &token), ("reason", &"x".repeat(501))]).await;
    assert_eq!(long.status(), StatusCode::BAD_REQUEST);
    let huge = browser.post(freeze, &[("csrf", &token), ("reason", &"x".repeat(50_000))]).await;
    assert_eq!(huge.status(), StatusCode::BAD_REQUEST);
    world.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_the_sign_out() {
    let world = world().await;
    let (browser, other) = (signed_in(&world).await, signed_in(&world).await);
    let token = browser.csrf().await;

    let out = browser.post("/dashboard/sign-out", &[("csrf", &token)]).await;

    assert_eq!((out.status(), location(&out)), (StatusCode::SEE_OTHER, "/dashboard/sign-in"));
    let cookie = out.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("s3up=;") && cookie.contains("Max-Age=0"), "{cookie}");
    assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER);
    other.page("/").await;
    world.stop().await;
}

#[tokio::test]
async fn a_session_ends_after_two_hours_without_a_page() {
    let world = world().await;
    let browser = signed_in(&world).await;
    let advance = async |time: Duration| {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    };
    let hour = Duration::from_secs(3600);
    advance(hour).await;
    browser.page("/").await;
    advance(hour + hour / 2).await;
    let live = browser.request(browser.http.get(format!("{}/", browser.url)));
    let live = live.header("x-s3up-live", "1").send().await.expect("a response");
    assert_eq!(live.status(), StatusCode::OK, "a live update, which renews nothing");
    advance(hour).await;
    assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_a_reload_removes_its_key() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, with_admin(text.clone())).unwrap();
    let gateway = Running::start(&file, &[]);
    let (mut one, mut other) = (Browser::new(&gateway.url), Browser::new(&gateway.url));
    one.sign_in(ADMIN_KEY).await;
    other.sign_in(OTHER_ADMIN_KEY).await;

    gateway.reload(&format!("{text}\nadmin_keys: [{OTHER_ADMIN_KEY}]\n"));
    gateway.logged("config_reloaded", 1);

    assert_eq!(one.get("/").await.status(), StatusCode::SEE_OTHER);
    other.page("/").await;
    // The key returns, and the session does not.
    gateway.reload(&with_admin(text));
    gateway.logged("config_reloaded", 2);
    assert_eq!(one.get("/").await.status(), StatusCode::SEE_OTHER);
    // The log names no key.
    let log = gateway.log().join("\n");
    assert!(log.contains("event=dashboard_signed_in") && !log.contains("s3up_admin_"), "{log}");
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

#[tokio::test]
async fn a_cookie_is_secure_over_https() {
    let root = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (root.path().join("cert.pem"), root.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Some(TlsFiles { cert, key });
    let serving = Serving { grace: SHUTDOWN_GRACE, timeouts: Timeouts::default(), tls };
    let over_tls = World::serving(serving, Versioning::Enabled, with_admin).await;
    let pinned = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let url = over_tls.url.replace("http://127.0.0.1", "https://localhost");
    let mut browser = Browser::with(&url, Client::builder().tls_certs_only([pinned]));

    let attributes = browser.sign_in(ADMIN_KEY).await;

    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Secure");
    assert!(browser.cookie.as_deref().unwrap().starts_with("__Host-s3up="));
    browser.page("/").await;
    over_tls.stop().await;

    let plain = world().await;
    let mut browser = Browser::new(&plain.url);
    assert_eq!(browser.sign_in(ADMIN_KEY).await, "Path=/; HttpOnly; SameSite=Strict");
    plain.stop().await;
}

#[tokio::test]
async fn only_a_trusted_proxy_says_that_a_browser_speaks_https() {
    for (trusted, is_secure) in [("", false), ("trusted_proxies: [\"127.0.0.1\"], ", true)] {
        let edit = |config: String| {
            with_admin(config.replace("server: { ", &format!("server: {{ {trusted}")))
        };
        let world = World::with(Versioning::Enabled, edit).await;
        let browser = Browser::new(&world.url);
        let request = browser.form("/dashboard/sign-in", &[("key", ADMIN_KEY)]);
        let request = request.header("x-forwarded-proto", "https");
        let response = request.send().await.expect("a response");
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
        assert_eq!(cookie.starts_with("__Host-"), is_secure, "{cookie}");
        world.stop().await;
    }
}
