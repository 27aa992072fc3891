//! The pages of the dashboard over HTTP: their headers, facts, and hostile values.

use reqwest::StatusCode;
use s3up_devstore::Versioning;
use serde_json::Value;

use crate::dashboard::{ADMIN_KEY, Browser, HOSTILE, PAGES, report, signed_in, with_admin, world};
use crate::fixture::{KEY, READER_KEY, World, stored};
use crate::paths::BAD;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[tokio::test]
async fn every_answer_of_the_dashboard_has_the_security_policy() {
    let world = world().await;
    let (browser, stranger) = (signed_in(&world).await, Browser::new(&world.url));
    let page = browser.page("/").await;
    let assets: Vec<_> = page
        .split('"')
        .filter(|part| part.starts_with("/dashboard/assets/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    let mut answers = Vec::new();
    for page in PAGES.into_iter().chain(["/dashboard/sign-in", "/dashboard/nothing", "/?state=x"]) {
        answers.push((page.to_owned(), browser.get(page).await));
        answers.push((page.to_owned(), stranger.get(page).await));
    }
    let refused = stranger.post("/dashboard/sign-in", &[("key", "wrong")]).await;
    answers.push(("a refused sign-in".to_owned(), refused));
    for asset in &assets {
        answers.push((asset.clone(), stranger.get(asset).await));
    }
    for (page, answer) in answers {
        let header = |name: &str| {
            answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
        };
        assert_eq!(header("content-security-policy"), POLICY, "{page}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{page}");
        assert_eq!(header("referrer-policy"), "same-origin", "{page}");
        assert_eq!(header("x-frame-options"), "DENY", "{page}");
        let is_asset = page.starts_with("/dashboard/assets/");
        let cache = if is_asset { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(header("cache-control"), cache, "{page}");
        assert!(answer.status() == StatusCode::OK || !is_asset, "{page}");
        let text = answer.text().await.expect("a body");
        assert!(!text.contains(" style=") && !text.contains("<style"), "{page}");
        assert!(!text.contains(" onclick") && !text.contains("<script>"), "{page}");
    }
    let old = stranger.get("/dashboard/assets/style.0000000000000000.css").await;
    assert_eq!(old.status(), StatusCode::NOT_FOUND);
    let of_api = stranger.get("/health").await;
    assert!(!of_api.headers().contains_key("content-security-policy"), "{:?}", of_api.headers());
    world.stop().await;
}

#[tokio::test]
async fn hostile_values_are_text() {
    let world = world().await;
    let hostile_path = "%3Cscript%3Ealert(3)%3C%2Fscript%3E%22'%E2%80%AEgpj.exe";
    stored(world.put(&format!("dir%3Cb%3E/{hostile_path}"), "x")).await;
    report(&world, KEY, HOSTILE).await;
    report(&world, READER_KEY, HOSTILE).await;
    let browser = signed_in(&world).await;
    let mut pages: Vec<_> = PAGES.map(str::to_owned).into();
    pages.extend(
        [
            "/dashboard/clients/reader",
            "/dashboard/clients/webapp/files?prefix=dir%3Cb%3E/",
            "/dashboard/clients/webapp/files?find=%3Cscript%3E",
            "/?name=%22%3E%3Cscript%3Ealert(4)%3C/script%3E",
            "/dashboard/alerts?subject=%22%3E%3Cscript%3Ealert(5)%3C/script%3E",
        ]
        .map(str::to_owned),
    );
    pages.push(format!("/dashboard/clients/webapp/versions?path=dir%3Cb%3E/{hostile_path}"));
    for page in &pages {
        let text = browser.page(page).await;
        assert!(!text.contains("<img") && !text.contains("<script>"), "{page}: {text}");
        assert!(!text.contains('\u{202e}'), "{page}: a mark of direction");
        assert!(!text.contains("<b>"), "{page}: {text}");
    }
    let client = browser.page("/dashboard/clients/webapp").await;
    assert!(client.contains("&lt;img src=x onerror=alert(1)&gt;&quot;'&amp;amp;"), "{client}");
    assert!(client.contains(r"\u{202e}gpj.exe\n&lt;script&gt;"), "{client}");
    for query in ["state=%3Cscript%3E", "state=ok&state=ok", "name=%FF"] {
        let refused = browser.get(&format!("/?{query}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
        assert!(!refused.text().await.unwrap().contains("<script>"), "{query}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_fact_that_is_not_known_is_not_zero() {
    let world = world().await;
    world.commit_records().await;
    let browser = signed_in(&world).await;

    let page = browser.page("/dashboard/clients/webapp-prod").await;

    assert!(page.contains("no agent has sent a heartbeat"), "{page}");
    assert!(page.contains("the catalogue does not have the files of this client"), "{page}");
    let fleet = browser.page("/?name=webapp-prod").await;
    let (_, row) = fleet.split_once("data-client=\"webapp-prod\"").expect("a row");
    assert!(row.matches("not known").count() >= 5, "{row}");
    let (facts, days) = row.split_once("data-label=\"Last 7 days\"").expect("a cell");
    assert!(!facts.contains(">0") && !facts.contains("0 B"), "{facts}");
    // Of the days before the client was configured nothing is known.
    assert!(
        days.contains(
            "oldest first: not known, not known, not known, not known, not known, not known, 0"
        ),
        "{days}"
    );
    let gateway = browser.page("/dashboard/gateway").await;
    assert!(gateway.contains("the gateway has just started"), "{gateway}");
    world.stop().await;
}

#[tokio::test]
async fn the_pages_have_the_facts_of_the_api() {
    let world = world().await;
    stored(world.put("uploads/a.txt", "hello")).await;
    stored(world.put("uploads/a.txt", "hello again")).await;
    stored(world.put("b c.txt", "x")).await;
    report(&world, READER_KEY, "plain").await;
    world.commit_records().await;
    let browser = signed_in(&world).await;

    let fleet = browser.page("/").await;
    assert!(
        fleet.contains("1 of 3 hosts are safe; reader has been failing for")
            || fleet.contains("1 of 3 hosts are safe; reader is failing"),
        "{fleet}"
    );
    let order = ["reader", "webapp-prod", "webapp"]
        .map(|name| fleet.find(&format!("data-client=\"{name}\"")).expect("a row"));
    assert!(order.is_sorted(), "the worst first: {order:?}");
    let filtered = browser.page("/?state=failing").await;
    assert!(
        filtered.contains("data-client=\"reader\"") && !filtered.contains("data-client=\"webapp\"")
    );
    assert!(browser.page("/?name=nothing").await.contains("No client matches"));

    let client = browser.page("/dashboard/clients/webapp").await;
    assert!(client.contains("uploads/a.txt") && client.contains("stored"), "{client}");
    assert!(client.contains("client key") && !client.contains("Watches</h2>"), "{client}");
    let reader = browser.page("/dashboard/clients/reader").await;
    for text in
        ["/srv/second", "3 of 4", "2 h ago", "The first 2 of 12", "without its subdirectories"]
    {
        assert!(reader.contains(text), "{text}: {reader}");
    }
    let files = browser.page("/dashboard/clients/webapp/files").await;
    assert!(files.contains("uploads/") && files.contains("b c.txt") && !files.contains("a.txt"));
    let directory = browser.page("/dashboard/clients/webapp/files?prefix=uploads/").await;
    assert!(
        directory.contains("a.txt")
            && directory.contains("s3up restore --target /tmp/restore-webapp uploads")
    );
    let found = browser.page("/dashboard/clients/webapp/files?find=A.TX").await;
    assert!(found.contains("uploads/a.txt") && !found.contains("b c.txt"), "{found}");
    let versions = browser.page("/dashboard/clients/webapp/versions?path=uploads/a.txt").await;
    assert!(
        versions.contains("2 versions") && versions.contains("Downloads are off"),
        "{versions}"
    );
    let reports = browser.page("/dashboard/reports?client=reader").await;
    assert!(
        reports.contains("/dashboard/clients/reader")
            && !reports.contains("/dashboard/clients/webapp\"")
    );
    let gateway = browser.page("/dashboard/gateway").await;
    assert!(gateway.contains("versions") && gateway.contains("backups"), "{gateway}");
    assert!(browser.page("/dashboard/alerts").await.contains("No alert is delivered"));
    world.stop().await;
}

#[tokio::test]
async fn the_history_of_alerts_has_all_of_one_moment() {
    let world = world().await;
    world.commit_records().await;
    world
        .execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 250) \
             INSERT INTO alerts (id, topic, client, state, before, reason, at) \
             SELECT 'id ' || n, 'quota', 'webapp', 'begun', '', 'reason-' || n || '.', 5 FROM numbers",
        )
        .await;
    let browser = signed_in(&world).await;
    for start in ["/dashboard/alerts", "/dashboard/alerts?subject=webapp"] {
        let (mut next, mut found, mut pages) = (Some(start.to_owned()), Vec::new(), 0);
        while let Some(url) = next {
            let page = browser.page(&url).await;
            found.extend((1..=250).filter(|n| page.contains(&format!("reason-{n}."))));
            let link = page.split('"').find(|part| part.contains("&amp;after="));
            next = link.map(|link| link.replace("&amp;", "&"));
            pages += 1;
        }
        found.sort();
        assert_eq!((found, pages), ((1..=250).collect(), 3), "{start}");
    }
    assert!(browser.page("/dashboard/alerts?subject=shop").await.contains("No alert matches"));
    world.stop().await;
}

#[tokio::test]
async fn downloads_are_off_until_the_configuration_allows_them() {
    let path = "/dashboard/clients/webapp/download?path=a.html";
    let off = world().await;
    stored(off.put("a.html", "<script>1</script>")).await;
    let refused = signed_in(&off).await.get(path).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.text().await.unwrap().contains("dashboard.downloads: true"));
    off.stop().await;

    let edit = |config: String| with_admin(config) + "dashboard: { downloads: true }\n";
    let mut world = World::with(Versioning::Enabled, edit).await;
    let first = stored(world.put("a.html", "<script>1</script>")).await;
    stored(world.put("a.html", "second")).await;
    let browser = signed_in(&world).await;
    let response = browser.get(path).await;
    let headers = response.headers().clone();
    assert_eq!(response.text().await.unwrap(), "second");
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(headers["content-security-policy"], POLICY);
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let old = format!("{path}&version_id={}", first.version_id.expect("a version"));
    assert_eq!(browser.get(&old).await.text().await.unwrap(), "<script>1</script>");
    let outside = browser.get("/dashboard/clients/webapp/download?path=../reader/x").await;
    assert_eq!(outside.status(), StatusCode::BAD_REQUEST);
    world.stop_gateway().await;
    let downloads = world.rows("SELECT sum(downloads) FROM activity").await;
    assert_eq!(downloads, ["0"], "the operator is not the client");
}

#[tokio::test]
async fn the_api_is_the_same_beside_the_dashboard() {
    let world = world().await;
    let request = world.http.get(format!("{}/clients", world.url)).bearer_auth(ADMIN_KEY);
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(list["clients"].as_array().map(Vec::len), Some(3));
    let unknown = world.http.get(format!("{}/nothing", world.url)).send().await.unwrap();
    assert_eq!(unknown.headers()["content-type"], "application/problem+json");
    world.stop().await;
}

#[tokio::test]
async fn an_invalid_path_is_refused_by_every_page_of_the_dashboard_and_never_reaches_s3() {
    let edit = |config: String| with_admin(config) + "dashboard: { downloads: true }\n";
    let world = World::with(Versioning::Enabled, edit).await;
    let browser = signed_in(&world).await;
    let calls_before = world.s3.faults().calls_total();
    let too_long = "x".repeat(1025);
    for path in BAD.into_iter().chain([too_long.as_str()]) {
        for page in ["versions?path=", "download?path=", "files?prefix=", "files?find=a&after="] {
            let is_page = page.ends_with("path=");
            // A prefix is a directory: it may be empty, and it may end with one slash.
            if path.is_empty() && !is_page
                || page.ends_with("prefix=") && ["a/", "a%2f"].contains(&path)
            {
                continue;
            }
            let answer = browser.get(&format!("/dashboard/clients/webapp/{page}{path}")).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{page}{path}");
        }
    }
    // No name of a client leads to another prefix.
    for name in ["..", "%2e%2e", "webapp%2f..%2freader", "webapp%00", "WEBAPP", "%ff"] {
        for page in ["files", "files?find=a", "versions?path=a", "download?path=a"] {
            let answer = browser.get(&format!("/dashboard/clients/{name}/{page}")).await;
            assert!(answer.status().is_client_error(), "{name}/{page}: {}", answer.status());
        }
    }
    assert_eq!(world.s3.faults().calls_total(), calls_before);
    world.stop_and_expect_files(&[]).await;
}
