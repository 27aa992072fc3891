//! Uploads and heartbeats that end in messages to the operator, without the pauses between two looks.

mod each_alert;
mod site;

use serde_json::Value;

use self::site::Site;
use crate::alert::Topic;

#[tokio::test]
async fn files_that_are_replaced_like_by_ransomware_are_an_alert_and_its_end_is_one() {
    let mut site = Site::start("").await;
    for n in 0..10 {
        site.put(&format!("{n}.jpg"), &format!("picture {n}")).await;
    }
    site.recorded(10).await;
    // They are from the day before yesterday.
    site.sql("UPDATE files SET replaced_at = replaced_at - 172800000").await;
    site.sql("UPDATE extensions SET first_at = first_at - 172800000").await;
    site.sql("DELETE FROM changes").await;
    site.judge().await;
    assert_eq!(site.open().await, []);

    // Those that are sent again with the same content are not suspicious.
    for n in 0..10 {
        site.put(&format!("{n}.jpg"), &format!("picture {n}")).await;
    }
    site.put("0.jpg", "encrypted").await;
    site.put("new.jpg", "picture").await;
    site.recorded(11).await;
    site.judge().await;
    assert_eq!(site.open().await, []);
    for n in 1..5 {
        site.put(&format!("{n}.jpg"), "encrypted").await;
    }
    site.put("5.jpg", "").await;
    // One file that changes all the time counts once.
    for n in 0..10 {
        site.put("0.jpg", &format!("again {n}")).await;
    }
    site.put("READ_ME.html", "pay").await;
    site.recorded(12).await;
    site.judge().await;
    site.judge().await;

    let alert = site.alert("changes").await;
    let text = alert["text"].as_str().unwrap();
    assert!(text.starts_with("webapp: 6 of its 10 files (60 %) were replaced"), "{text}");
    assert!(text.contains(", 1 of them are empty now") && text.contains("freeze webapp"), "{text}");
    assert_eq!((&alert["client"], &alert["is_over"]), (&"webapp".into(), &false.into()));
    assert_eq!(site.open().await, [Topic::Changes]);
    site.sql("UPDATE changes SET period = period - 7200000").await;
    site.judge().await;
    let over = site.alert("changes").await;
    assert_eq!((&over["is_over"], site.open().await), (&true.into(), vec![]));
    site.stop().await;
}

#[tokio::test]
async fn new_files_with_unfamiliar_extensions_are_an_alert() {
    let mut site = Site::start("").await;
    for n in 0..8 {
        site.put(&format!("{n}.jpg"), "picture").await;
    }
    site.recorded(8).await;
    site.judge().await;
    assert_eq!(site.open().await, [], "all files of a new client are new");
    site.sql("UPDATE extensions SET first_at = first_at - 172800000").await;
    site.sql("DELETE FROM changes").await;
    for n in 0..6 {
        site.put(&format!("{n}.jpg.locked"), "encrypted").await;
    }
    site.recorded(14).await;
    site.judge().await;

    let text = site.alert("changes").await["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("webapp: 6 new files within an hour have extensions"), "{text}");
    site.stop().await;
}

#[tokio::test]
async fn the_daily_report_comes_once_a_day_and_names_every_client() {
    let mut site = Site::start(", report_at: \"00:00\"").await;
    site.put("a", "hello").await;
    site.recorded(1).await;
    for _ in 0..2 {
        site.judge().await;
    }

    let report = site.alert("report").await;

    let text = report["text"].as_str().unwrap();
    assert_eq!(text, "1 of 1 client is safe\n\nwebapp: ok; 1 file, 5 B");
    assert_eq!(report["client"], Value::Null);
    // As if it were the report of a day before: the next one tells the difference.
    site.sql("UPDATE reported_clients SET day = '2026-01-31', files = 3, state = 'silent'").await;
    site.sql("DELETE FROM alerts").await;
    site.sql("DELETE FROM deliveries").await;
    site.judge().await;
    let text = site.alert("report").await["text"].as_str().unwrap().to_owned();
    assert!(text.contains("webapp: ok (was silent); 1 file, 5 B (-2, +0 B)\n"), "{text}");
    assert!(text.ends_with("Changes are those since the report of 2026-01-31."), "{text}");
    site.stop().await;
}
