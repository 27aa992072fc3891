//! Incidents, daily reports, freezes and counted changes, on both databases.

use super::super::changes::Changes;
use super::super::incidents::{IncidentRow, ReportedClient};
use super::*;
use crate::alert::{AlertKind, Channel, Topic};

#[tokio::test]
async fn an_incident_begins_and_ends_once_however_many_gateways_see_it() {
    for server in Server::all() {
        let gateways = [server.start("one").await, server.start("two").await];
        let [one, two] = &gateways;

        assert!(one.begin_incident(Topic::Quota, "web", "nearly full").await.unwrap());
        assert!(!two.begin_incident(Topic::Quota, "web", "nearly full").await.unwrap());
        assert!(two.begin_incident(Topic::Drill, "web", "too old").await.unwrap());
        let open = one.open_incidents().await.unwrap();
        assert_eq!(open.len(), 2);
        assert!(two.end_incident(Topic::Quota, "web").await.unwrap());
        assert!(!one.end_incident(Topic::Quota, "web").await.unwrap());

        one.incident_seen(Topic::Drill, "web").await.unwrap();
        let want = IncidentRow {
            topic: Topic::Drill,
            subject: "web".to_owned(),
            since: NOON,
            seen_at: NOON,
            reason: "too old".to_owned(),
        };
        assert_eq!(one.open_incidents().await.unwrap(), [want]);
        let alerts = two.undelivered_alerts(Channel::Webhook).await.unwrap();
        let mut seen: Vec<_> =
            alerts.iter().map(|it| (it.kind.clone(), it.reason.as_deref())).collect();
        seen.sort_by_key(|(kind, _)| format!("{kind:?}"));
        let kind = |topic, is_over| AlertKind::Incident { topic, is_over };
        let want = [
            (kind(Topic::Drill, false), Some("too old")),
            (kind(Topic::Quota, false), Some("nearly full")),
            (kind(Topic::Quota, true), None),
        ];
        assert_eq!(seen, want);
        for gateway in gateways {
            gateway.close().await;
        }
    }
}

#[tokio::test]
async fn one_of_two_gateways_writes_the_report_of_a_day() {
    for server in Server::all() {
        let gateways = [server.start("one").await, server.start("two").await];
        let [one, two] = &gateways;
        assert_eq!(one.last_daily_report().await.unwrap(), None);
        let client = |name: &str, files| ReportedClient {
            client: name.to_owned(),
            state: "ok".to_owned(),
            files,
            bytes: 9,
        };
        let clients = [client("a", 1), client("b", 2)];

        assert!(one.write_daily_report("2026-01-30", "all is well", &clients).await.unwrap());
        assert!(!two.write_daily_report("2026-01-30", "all is well", &clients).await.unwrap());
        let later = [client("b", 3)];
        assert!(two.write_daily_report("2026-01-31", "all is well", &later).await.unwrap());

        let (day, last) = one.last_daily_report().await.unwrap().unwrap();
        assert_eq!(day, "2026-01-31");
        assert_eq!(last.into_values().collect::<Vec<_>>(), later);
        let reports = one.undelivered_alerts(Channel::Mail).await.unwrap();
        let seen: Vec<_> = reports.iter().map(|it| (&it.kind, it.id.as_str())).collect();
        let want =
            ["report-2026-01-30", "report-2026-01-31"].map(|id| (&AlertKind::DailyReport, id));
        assert_eq!(seen, want);
        for gateway in gateways {
            gateway.close().await;
        }
    }
}

#[tokio::test]
async fn a_freeze_is_that_of_all_gateways_and_of_the_next_start() {
    for server in Server::all() {
        let (one, two) = (server.start("one").await, server.start("two").await);
        one.freeze(&web(), "first".to_owned()).await.unwrap();
        one.freeze(&web(), "second".to_owned()).await.unwrap();
        assert_eq!(one.freeze_of(&web()).unwrap().reason, "second");
        assert_eq!(two.freeze_of(&web()), None, "it has not looked yet");
        two.read_freezes().await.unwrap();
        assert_eq!(two.freeze_of(&web()).unwrap().since, NOON);
        one.close().await;
        let next = server.start("three").await;
        next.read_freezes().await.unwrap();
        assert!(next.freeze_of(&web()).is_some());
        assert!(next.release(&web()).await.unwrap());
        assert!(!next.release(&web()).await.unwrap());
        assert_eq!(next.freeze_of(&web()), None);
        two.close().await;
        next.close().await;
    }
}

#[tokio::test]
async fn what_replaces_known_content_is_counted_once_within_an_hour() {
    for server in Server::all() {
        let database = server.start("one").await;
        let of = |content: &str| {
            let sha256 = Some(Sha256Digest::of(content.as_bytes()));
            CatalogueEntry { sha256, ..entry(content.len() as u64) }
        };
        let stored = |path: &str, content| upload(path, NOON, UploadOutcome::Stored(of(content)));
        let commit = async || {
            let day = "2026-01-01".to_owned();
            database.record_report(&web(), day, "{}".to_owned()).await.unwrap();
        };
        for path in ["a.jpg", "b.jpg", "c.jpg", "d.jpg"] {
            database.record(stored(path, "picture"));
        }
        commit().await;
        // They are older than an hour.
        server.execute("UPDATE files SET replaced_at = replaced_at - 7200000").await;
        server.execute("DELETE FROM changes").await;
        server.execute("UPDATE extensions SET first_at = first_at - 172800000").await;
        for record in [
            stored("a.jpg", "other"),
            stored("b.jpg", ""),
            // The same content, however it came.
            stored("c.jpg", "picture"),
            upload("d.jpg", NOON, UploadOutcome::Unchanged(of("picture"))),
            stored("new.jpg", "picture"),
            stored("a.jpg.locked", "encrypted"),
        ] {
            database.record(record);
        }
        commit().await;
        database.record(stored("a.jpg", "again"));
        commit().await;

        let changes = database.changes().await.unwrap();

        let want = Changes { replaced: 2, emptied: 1, created: 2, unfamiliar: 1 };
        assert_eq!(changes[&web()], want);
        server.execute("UPDATE changes SET period = 0").await;
        assert!(database.changes().await.unwrap().is_empty());
        let facts = database.client_facts().await.unwrap();
        assert!(facts.iter().all(|facts| facts.stored.files == 6), "{facts:?}");
        database.close().await;
    }
}
