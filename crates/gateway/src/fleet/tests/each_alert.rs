//! Each alert of the list: the receiver gets exactly one when it begins, and one when it is over.

use s3up_testkit::S3Client;
use serde_json::{Value, json};

use super::site::{BUCKET, Site};
use crate::tls::{self, TlsFiles};

/// A heartbeat of a client that is well.
fn well() -> Value {
    let none = json!({"files": 0, "bytes": 0});
    let agent = json!({"version": "0.1.0", "host": "web1", "started_at": "2026-01-01T00:00:00Z"});
    json!({
        "version": 1, "agent": agent,
        "files": {"protected": {"files": 2, "bytes": 9}, "pending": none, "baseline": none,
                  "excluded": none, "problems": none},
        "last_scan_at": "2026-01-01T01:00:00Z", "last_scan_age_seconds": 60,
        "running_seconds": 3600, "watcher": {"state": "ok"}
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut body = well();
    *body.pointer_mut(field).expect("a field") = value;
    body
}

fn added(field: &str, value: Value) -> Value {
    let mut body = well();
    body[field] = value;
    body
}

/// Starts a site whose client is well, which is no alert.
async fn well_site() -> Site {
    let mut site = Site::start("").await;
    site.heartbeat(&well()).await;
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    site
}

/// Checks that the incident with this topic is over, and that no other alert follows.
async fn assert_over(site: &mut Site, alert: Value) {
    assert_eq!(alert["is_over"], true, "{alert}");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    assert_eq!(site.open().await, []);
}

#[tokio::test]
async fn each_state_of_a_client_is_alerted_once_and_so_is_its_end() {
    let mut site = well_site().await;
    #[rustfmt::skip]
    let cases = [
        (with("/files/problems/files", json!(3)),     "failing",  "3 files cannot be uploaded; its report names them"),
        (added("oldest_pending_seconds", json!(7200)), "late",     "0 pending, the oldest for 2 h"),
        (with("/watcher/state", json!("degraded")),   "degraded", "the watcher is degraded"),
        (added("watch_error", json!("/srv: gone")),   "failing",  "a watch cannot be scanned: /srv: gone"),
    ];
    for (body, state, reason) in cases {
        site.heartbeat(&body).await;
        let alert = site.alert("state").await;
        assert_eq!((&alert["client"], &alert["state"]), (&json!("webapp"), &json!(state)));
        assert_eq!((&alert["reason"], &alert["before"]), (&json!(reason), &json!("ok")));
        assert_eq!(site.alerts().await, Vec::<Value>::new(), "{state}");

        site.heartbeat(&well()).await;
        let over = site.alert("state").await;
        assert_eq!((&over["state"], &over["is_over"]), (&json!("ok"), &json!(true)), "{over}");
        assert_eq!(over["text"], format!("webapp is ok again (it was {state})"));
        assert_eq!(site.alerts().await, Vec::<Value>::new());
    }
    site.stop().await;
}

#[tokio::test]
async fn a_silent_client_is_alerted_once_and_so_is_its_return() {
    let mut site = well_site().await;
    site.sql("UPDATE heartbeats SET received_at = received_at - 97200000").await;

    let alert = site.alert("state").await;

    assert_eq!(alert["state"], "silent", "{alert}");
    let text = alert["text"].as_str().unwrap();
    assert!(text.starts_with("webapp is silent: no heartbeat for 27 h, since "), "{text}");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    site.heartbeat(&well()).await;
    let over = site.alert("state").await;
    assert_over(&mut site, over).await;
    site.stop().await;
}

#[tokio::test]
async fn a_quota_that_is_nearly_used_is_alerted_once_and_so_is_its_end() {
    let mut site = well_site().await;
    site.put("a", "hello").await;
    site.recorded(1).await;
    site.sql("UPDATE totals SET bytes = 1000000000").await;

    let alert = site.alert("quota").await;

    let text = alert["text"].as_str().unwrap();
    assert!(text.starts_with("webapp: it has stored 954 MiB, 93 % of its quota"), "{text}");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    site.sql("UPDATE totals SET bytes = 5").await;
    let over = site.alert("quota").await;
    assert_over(&mut site, over).await;
    site.stop().await;
}

#[tokio::test]
async fn an_old_drill_is_alerted_once_and_so_is_the_next_one() {
    let mut site = well_site().await;
    let drill = |age: u64| {
        let at = "2026-01-01T00:00:00Z";
        json!({"at": at, "age_seconds": age, "files": 20, "bytes": 9, "failed": 0,
               "last_good_at": at, "last_good_age_seconds": age})
    };
    site.heartbeat(&added("last_drill", drill(63 * 86_400))).await;

    let alert = site.alert("drill").await;

    let text = alert["text"].as_str().unwrap();
    assert_eq!(text, "webapp: its last drill that could restore all files was 63 d ago");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    site.heartbeat(&added("last_drill", drill(60))).await;
    let over = site.alert("drill").await;
    assert_over(&mut site, over).await;
    site.stop().await;
}

#[tokio::test]
async fn many_requests_without_a_key_are_alerted_once_and_so_is_their_end() {
    let mut site = well_site().await;
    let http = reqwest::Client::new();
    for _ in 0..100 {
        let list = http.get(format!("{}/list", site.url)).bearer_auth("wrong").send().await;
        assert!(list.unwrap().status().is_client_error());
    }

    let alert = site.alert("authentication").await;

    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("100 requests within ten minutes had no valid key"), "{text}");
    assert_eq!(alert["client"], Value::Null);
    // It is judged each minute, and the requests are more than ten minutes ago.
    for _ in 0..12 {
        site.judge().await;
    }
    let over = site.alert("authentication").await;
    assert_over(&mut site, over).await;
    site.stop().await;
}

/// Writes a certificate that ends in `days` days.
fn certificate(site: &Site, days: i64) -> TlsFiles {
    let now = jiff::Timestamp::from_millisecond(site.gateway.database().now()).unwrap();
    let end = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let end = end.checked_add(jiff::Span::new().days(days)).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let [month, day] = [end.month(), end.day()].map(|number| u8::try_from(number).unwrap());
    params.not_after = rcgen::date_time_ymd(i32::from(end.year()), month, day);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let file = |name: &str| site.root.path().join(name);
    let files = TlsFiles { cert: file("cert.pem"), key: file("key.pem") };
    std::fs::write(&files.cert, made.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[tokio::test]
async fn a_certificate_that_ends_is_alerted_once_and_so_is_its_renewal() {
    let mut site = well_site().await;
    let use_it = |site: &Site, files: TlsFiles| {
        let key = tls::load(&files).unwrap();
        assert!(site.gateway.certificate().replace(files, key));
    };
    use_it(&site, certificate(&site, 90));
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    use_it(&site, certificate(&site, 5));

    let alert = site.alert("certificate").await;

    let text = alert["text"].as_str().unwrap();
    assert!(text.contains(": its certificate ends in ") && text.ends_with("; renew it"), "{text}");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    use_it(&site, certificate(&site, 90));
    let over = site.alert("certificate").await;
    assert_over(&mut site, over).await;
    site.stop().await;
}

#[tokio::test]
async fn a_bucket_that_loses_its_versions_is_alerted_once_and_so_is_their_return() {
    let mut site = well_site().await;
    let bucket = S3Client::new(&site.s3, BUCKET);
    bucket.keep_versions(false).await;

    // An answer about the bucket is kept for some seconds.
    let alert = site.alert_soon("versions").await;

    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("the bucket does not keep versions any more"), "{text}");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    bucket.keep_versions(true).await;
    let over = site.alert_soon("versions").await;
    assert_over(&mut site, over).await;
    site.stop().await;
}

#[tokio::test]
async fn a_lifecycle_rule_that_deletes_files_is_alerted_once_and_so_is_its_end() {
    const SAFE: &str = include_str!("../../../../../packaging/aws/lifecycle.json");
    let mut site = well_site().await;
    let bucket = S3Client::new(&site.s3, BUCKET);
    // One of another user of the bucket is none of ours.
    bucket.expire_after("webapp-prod/", 30).await;
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    bucket.expire_after("", 30).await;

    let alert = site.alert("expiry").await;

    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("the lifecycle rule expire deletes files by their age"), "{text}");
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    bucket.put_lifecycle(SAFE).await;
    let over = site.alert("expiry").await;
    assert_over(&mut site, over).await;
    let early = SAFE.replace("\"NoncurrentDays\": 30", "\"NoncurrentDays\": 1");
    bucket.put_lifecycle(&early).await;
    let alert = site.alert("expiry").await;
    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("deletes overwritten versions after 1 day, too early"), "{text}");
    site.stop().await;
}

#[tokio::test]
async fn an_accepted_lifecycle_rule_ends_its_incident_until_it_deletes_sooner() {
    let mut site = well_site().await;
    let bucket = S3Client::new(&site.s3, BUCKET);
    bucket.expire_after("", 30).await;
    site.alert("expiry").await;

    site.reload(|text| text.replace("s3: {", "s3: { accepted_rules: { expire: 30 },")).await;

    let over = site.alert("expiry").await;
    assert_over(&mut site, over).await;
    bucket.expire_after("", 29).await;
    let alert = site.alert("expiry").await;
    assert_eq!(alert["is_over"], false, "{alert}");
    site.stop().await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_alerted_once_and_so_is_its_return() {
    let mut site = well_site().await;
    let (now, minute) = (site.gateway.database().now(), 60_000);
    site.sql("ALTER TABLE clients RENAME TO clients_away").await;
    for later in 0..5 {
        site.deliver_at(now + later * minute).await;
    }
    assert_eq!(site.received_alerts(), Vec::<Value>::new());

    for later in 5..8 {
        site.deliver_at(now + later * minute).await;
    }

    let alerts = site.received_alerts();
    let [alert] = &alerts[..] else { panic!("{alerts:#?}") };
    assert_eq!((&alert["topic"], &alert["is_over"]), (&json!("database"), &json!(false)));
    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("it has not answered for 5 minutes; uploads continue"), "{text}");
    site.sql("ALTER TABLE clients_away RENAME TO clients").await;
    for later in 8..11 {
        site.deliver_at(now + later * minute).await;
    }
    let alerts = site.received_alerts();
    let [over] = &alerts[..] else { panic!("{alerts:#?}") };
    assert_eq!((&over["topic"], &over["is_over"]), (&json!("database"), &json!(true)));
    assert_eq!(site.alerts().await, Vec::<Value>::new());
    site.stop().await;
}
