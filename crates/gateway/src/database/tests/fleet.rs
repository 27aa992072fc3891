//! The facts about clients, on both databases.

use s3up_core::wire::{ClientState, Total};

use super::super::record::RecordedState;
use super::*;
use crate::alert::{AlertKind, Channel};

const HEARTBEAT: &str = r#"{"version":1,
    "agent":{"version":"0","host":"h","started_at":"2026-01-01T00:00:00Z"},
    "files":{"protected":{"files":3,"bytes":30},"pending":{"files":0,"bytes":0},
        "baseline":{"files":0,"bytes":0},"excluded":{"files":0,"bytes":0},
        "problems":{"files":0,"bytes":0}},
    "watcher":{"state":"ok"}}"#;

#[tokio::test]
async fn the_facts_of_a_client_are_those_that_were_recorded() {
    for server in Server::all() {
        let database = server.start("one").await;
        let (key, idle) = (Sha256Digest::of(b"key"), ClientName::parse("idle").unwrap());
        database.record(Record::KeyKnown { client: web(), key, at: 5 });
        let of_idle = Sha256Digest::of(b"idle");
        database.record(Record::KeyKnown { client: idle, key: of_idle, at: 6 });
        database.record_key_use(&web(), key, true);
        database.record(upload("a", NOON - 1000, UploadOutcome::Stored(entry(10))));
        database.record(upload("b", NOON - 900, UploadOutcome::Unchanged(entry(5))));
        database.record_heartbeat(&web(), HEARTBEAT.to_owned(), None).unwrap();
        let backups = |version: &str| {
            format!(
                r#"{{"version":1,"program":{{"version":"{version}","host":"nas"}},
                    "command":"backup","subvolumes":[]}}"#
            )
        };
        for version in ["1", "2"] {
            database.record_backup_report(&web(), backups(version)).await.unwrap();
        }
        for day in ["2026-01-29", "2026-01-30", "2026-01-28"] {
            database.record_report(&web(), day.to_owned(), "{}".to_owned()).await.unwrap();
        }
        let recorded = |state, since| RecordedState { state, since };
        for state in [
            recorded(ClientState::Late, 7),
            recorded(ClientState::Ok, 8),
            // Another gateway saw the same a moment later.
            recorded(ClientState::Ok, 9),
        ] {
            let (before, reason) = (None, None);
            database.record(Record::ClientState { client: web(), before, state, reason });
            database.record_report(&web(), "2026-01-01".to_owned(), "{}".to_owned()).await.unwrap();
        }

        let facts = database.client_facts().await.unwrap();

        assert_eq!(facts.len(), 2, "{facts:?}");
        let web = facts.iter().find(|facts| facts.name == web()).unwrap();
        assert_eq!((web.created_at, web.last_seen_at), (5, Some(NOON)));
        assert_eq!(web.heartbeat.as_ref().unwrap().at, NOON);
        assert_eq!(web.heartbeat.as_ref().unwrap().body.files.protected.files, 3);
        let backups = web.backup_report.as_ref().unwrap();
        assert_eq!((backups.at, backups.body.program.version.as_str()), (NOON, "2"));
        assert_eq!(web.last_report_day.as_deref(), Some("2026-01-30"));
        assert_eq!(web.last_stored_at, Some(NOON - 1000 + 30));
        assert_eq!(web.stored, Total { files: 2, bytes: 15 });
        assert_eq!(web.recorded, Some(recorded(ClientState::Ok, 8)));
        let idle = facts.iter().find(|facts| facts.name.as_str() == "idle").unwrap();
        assert_eq!((idle.last_seen_at, idle.stored), (None, Total::default()));
        assert!(idle.backup_report.is_none());
        assert!(idle.heartbeat.is_none() && idle.recorded.is_none(), "{idle:?}");
        database.close().await;
    }
}

#[tokio::test]
async fn a_change_is_one_alert_however_many_gateways_see_it() {
    use ClientState::{Never, Ok, Silent};
    for server in Server::all() {
        let gateways = [server.start("one").await, server.start("two").await];
        // Each change is seen by both, and committed before the next one.
        let changes = [
            (None, Never, 1, None),
            (Some(Never), Ok, 2, None),
            (Some(Ok), Silent, 3, Some("no heartbeat for 26 h")),
            (Some(Silent), Ok, 4, None),
        ];
        for (before, state, since, reason) in changes {
            for (n, gateway) in gateways.iter().enumerate() {
                let state = RecordedState { state, since: NOON + since * 1000 + n as i64 };
                let reason = reason.map(str::to_owned);
                gateway.record(Record::ClientState { client: web(), before, state, reason });
                let day = "2026-01-01".to_owned();
                gateway.record_report(&web(), day, "{}".to_owned()).await.unwrap();
            }
        }
        let [one, two] = &gateways;

        let alerts = one.undelivered_alerts(Channel::Webhook).await.unwrap();

        let seen: Vec<_> =
            alerts.iter().map(|it| (it.kind.clone(), it.reason.as_deref(), it.at)).collect();
        let state = |before, state| AlertKind::State { state, before };
        let want = [
            (state(Some(Ok), Silent), Some("no heartbeat for 26 h"), NOON + 3000),
            (state(Some(Silent), Ok), None, NOON + 4000),
        ];
        assert_eq!(seen, want);
        // One of them takes an alert, and what is delivered is not sent again.
        let of_two = two.undelivered_alerts(Channel::Webhook).await.unwrap();
        assert!(one.claim_alert(&alerts[0], Channel::Webhook).await.unwrap());
        assert!(!two.claim_alert(&of_two[0], Channel::Webhook).await.unwrap());
        one.alert_delivered(&alerts[0], Channel::Webhook).await.unwrap();
        let left = two.undelivered_alerts(Channel::Webhook).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].attempts, left[0].tried_at), (0, 0));
        assert!(two.claim_alert(&left[0], Channel::Webhook).await.unwrap());
        let tried = &one.undelivered_alerts(Channel::Webhook).await.unwrap()[0];
        assert_eq!((tried.attempts, tried.tried_at), (1, NOON));
        // The other channel has its own deliveries.
        assert_eq!(one.undelivered_alerts(Channel::Mail).await.unwrap().len(), 2);
        for gateway in gateways {
            gateway.close().await;
        }
    }
}
