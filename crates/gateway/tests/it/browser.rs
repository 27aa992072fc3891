//! The dashboard in a real browser, headless Chromium: what a person sees, and what a hostile client cannot
//! do. The tests have to be asked for: `./check` sets `S3UP_TEST_BROWSER=yes` and `S3UP_AXE`.
//!
//! Pictures of all pages are written to `target/screens`.

mod driver;
mod site;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::driver::{Browser, programs_or_skip};
use self::site::{ADMIN_KEY, Site};

const WIDE: u64 = 1280;
const NARROW: u64 = 375;

/// The pages, with the names of their pictures.
const PAGES: [(&str, &str); 11] = [
    ("/", "fleet"),
    ("/?state=attention&name=w", "fleet-filtered"),
    ("/dashboard/clients/wiki", "client"),
    ("/dashboard/clients/nas", "client-btrfs"),
    ("/dashboard/clients/evil", "client-hostile"),
    ("/dashboard/clients/new-host", "client-new"),
    ("/dashboard/clients/shop/files?prefix=uploads/2026/", "files"),
    ("/dashboard/clients/shop/versions?path=uploads/2026/a.jpg", "versions"),
    ("/dashboard/gateway", "gateway"),
    ("/dashboard/reports", "reports"),
    ("/dashboard/alerts", "alerts"),
];

fn screens() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let screens = target.join("screens");
    std::fs::create_dir_all(&screens).expect("a directory");
    screens
}

/// Fails if the page logged anything, or asked another host.
async fn expect_quiet(browser: &Browser, site: &Site, page: &str) {
    assert_eq!(browser.console().await, Vec::<String>::new(), "{page}");
    for url in browser.requests().await {
        // The first page of the browser is one of its own.
        let is_local = ["data:", "chrome:"].iter().any(|scheme| url.starts_with(scheme));
        assert!(url.starts_with(&site.url) || is_local, "{page} asked {url}");
    }
}

async fn sign_in(browser: &Browser, site: &Site) {
    browser.go(&format!("{}/", site.url)).await;
    browser.wait_for("return document.querySelector('#key') !== null").await;
    browser.type_text("#key", ADMIN_KEY).await;
    browser.click("button.primary").await;
    browser.wait_for("return document.querySelector('.headline') !== null").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_sees_the_fleet_and_signs_out() {
    let Some(programs) = programs_or_skip() else { return };
    let site = Site::without_hostile_client().await;
    let browser = Browser::start(&programs).await;
    browser.screen(WIDE, "light").await;
    browser.go(&format!("{}/dashboard/clients/wiki", site.url)).await;
    browser.picture(&screens().join("sign-in.png"), WIDE).await;
    assert_eq!(browser.accessibility_faults().await, Vec::<String>::new());
    expect_quiet(&browser, &site, "sign-in").await;

    browser.type_text("#key", "wrong").await;
    browser.click("button.primary").await;
    browser.wait_for("return document.querySelector('[role=alert]') !== null").await;
    assert_eq!(browser.accessibility_faults().await, Vec::<String>::new());
    // A browser notes the status 401 of the page itself.
    let noted = browser.console().await;
    assert!(noted.iter().all(|line| line.contains("401")), "{noted:?}");
    browser.type_text("#key", ADMIN_KEY).await;
    browser.click("button.primary").await;
    browser.wait_for("return document.querySelector('h1')?.innerText === 'wiki'").await;

    browser.click("header nav a").await;
    browser.wait_for("return document.querySelector('.headline') !== null").await;
    let headline = browser.text(".headline").await;
    assert_eq!(
        headline,
        "7 of 11 hosts are safe; web-07 has been silent for 26 h, and 4 others need attention"
    );
    let names =
        "return [...document.querySelectorAll('.fleet tbody th a')].map(it => it.innerText).join()";
    let names = browser.script(names).await;
    assert!(
        names.as_str().expect("text").starts_with("web-07,wiki,blog,new-host,mail,"),
        "{names}"
    );
    let fits = "return [...document.querySelectorAll('.scroll')].every(it => it.scrollWidth <= it.clientWidth)";
    assert_eq!(browser.script(fits).await, json!(true), "all columns are visible");
    browser.picture(&screens().join("readme-fleet.png"), WIDE).await;
    browser.go(&format!("{}/dashboard/clients/wiki", site.url)).await;
    browser.picture(&screens().join("readme-client.png"), WIDE).await;
    // The keyboard reaches the content at once.
    let focused = "document.querySelector('.skip').focus(); \
                   return getComputedStyle(document.querySelector('.skip')).top";
    assert_eq!(browser.script(focused).await, json!("8px"));

    browser.click("header form button").await;
    browser.wait_for("return document.querySelector('#key') !== null").await;
    browser.go(&format!("{}/", site.url)).await;
    assert!(browser.url().await.contains("/dashboard/sign-in"));
    expect_quiet(&browser, &site, "sign-out").await;
    browser.stop().await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_accessible_quiet_and_fits_its_screen() {
    let Some(programs) = programs_or_skip() else { return };
    let site = Site::start().await;
    let browser = Browser::start(&programs).await;
    browser.screen(WIDE, "light").await;
    sign_in(&browser, &site).await;
    for (page, name) in PAGES {
        browser.go(&format!("{}{page}", site.url)).await;
        let safe = "return document.querySelectorAll('main img, main script, main style, iframe, [onerror]').length === 0 \
                    && document.scripts.length === 1 && !document.body.innerText.includes('\\u202e')";
        assert_eq!(browser.script(safe).await, json!(true), "{page}");
        for (width, scheme) in
            [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")]
        {
            browser.screen(width, scheme).await;
            assert!(!browser.overflows().await, "{page} is wider than {width}");
            // Contrast differs by scheme, the layout by width.
            if (width, scheme) != (NARROW, "dark") {
                let faults = browser.accessibility_faults().await;
                assert_eq!(faults, Vec::<String>::new(), "{page} {width} {scheme}");
            }
            browser.picture(&screens().join(format!("{name}-{width}-{scheme}.png")), width).await;
        }
        browser.screen(WIDE, "light").await;
        expect_quiet(&browser, &site, page).await;
    }
    browser.go(&format!("{}/dashboard/clients/evil", site.url)).await;
    let text = browser.text("main").await;
    assert!(
        text.contains(
            "<img src=x onerror=alert(1)>\"'&amp;</td>\\u{202e}gpj.exe\\n<script>alert(2)</script>"
        ),
        "{text}"
    );
    browser.stop().await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_changes_while_it_is_shown_and_an_action_is_one_click() {
    let Some(programs) = programs_or_skip() else { return };
    let site = Site::start().await;
    let browser = Browser::start(&programs).await;
    browser.screen(WIDE, "light").await;
    sign_in(&browser, &site).await;
    let state = "return document.querySelector('[data-client=shop] .state').innerText.trim()";
    assert_eq!(browser.script(state).await, json!("ok"));
    browser
        .script("document.querySelector('[data-client=forum] a').focus(); window.same = true")
        .await;

    site.break_shop().await;

    browser.wait_for(&format!("{} === 'failing'", state)).await;
    let same = "return window.same === true && document.activeElement.innerText === 'forum'";
    assert_eq!(browser.script(same).await, json!(true), "no reload, and the focus stays");

    browser.go(&format!("{}/dashboard/clients/forum", site.url)).await;
    browser.click("details.freeze summary").await;
    browser.type_text("#reason", "strange <changes>").await;
    browser.click("button.danger").await;
    browser
        .wait_for(
            "return document.querySelector('.frozen')?.innerText.includes('strange <changes>')",
        )
        .await;
    assert_eq!(browser.accessibility_faults().await, Vec::<String>::new());
    browser.click(".frozen button").await;
    browser.wait_for("return document.querySelector('.frozen') === null && document.querySelector('details.freeze') !== null").await;
    expect_quiet(&browser, &site, "freeze and release").await;
    browser.stop().await;
    site.stop().await;
}
