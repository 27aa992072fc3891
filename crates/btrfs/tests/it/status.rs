//! `status`, and the state file that remembers the last run.

use std::fs;

use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn};
use serde_json::Value;

use crate::fixture::World;

async fn status(world: &World) -> Value {
    let ran = world.run(&["status", "--json"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_shows_the_last_run_and_the_history() {
    let Some(mut world) = World::start(&["one", "two"]).await else { return };
    world.backup().await;
    world.age("one", 8).await;
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Nth(4), fault }]);
    world.path = Some(stand_in.path_var());
    let ran = world.run(&["backup", "--once"]).await;
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    world.path = None;

    let all = status(&world).await;
    let table = world.run(&["status"]).await;

    let (one, two) = (&all[0], &all[1]);
    assert_eq!(
        (&one["subvolume"], &one["last_run"]["outcome"]),
        (&"one".into(), &"published".into())
    );
    assert_eq!(one["last_run"]["error"], Value::Null);
    assert_eq!((&one["backups"], &one["due"]), (&"published".into(), &false.into()));
    assert_eq!(one["next_due_kind"], "incremental");
    let history = one["history"].as_array().unwrap();
    let kinds: Vec<_> = history.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["incremental", "full"]);
    for line in history {
        assert_eq!(line["state"], "current");
        assert!(
            line["total_bytes"].as_u64() > Some(0) && line["elapsed_seconds"].as_f64() > Some(0.0)
        );
        assert!(line["throughput"].as_str().unwrap().ends_with("B/s"), "{line}");
    }
    assert_eq!(two["last_run"]["outcome"], "failed");
    assert!(two["last_run"]["error"].as_str().unwrap().contains(StandIn::ERROR_MESSAGE), "{two}");
    assert_eq!(two["history"].as_array().unwrap().len(), 1);
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    assert!(table.stdout.contains("  last run     "), "{}", table.stdout);
    assert!(table.stdout.contains(StandIn::ERROR_MESSAGE), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_file_is_only_a_cache() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let good = fs::read_to_string(world.state()).unwrap();
    for (bad, event) in [
        (None, "event=state_file_missing"),
        (Some("{".to_owned()), "event=state_file_ignored"),
        (Some(good.replace("\"version\": 1", "\"version\": 99")), "event=state_file_ignored"),
        (Some(good.replace("\"backups\"", "\"theirs\"")), "event=state_file_ignored"),
    ] {
        match &bad {
            None => fs::remove_file(world.state()).unwrap(),
            Some(bad) => fs::write(world.state(), bad).unwrap(),
        }

        let shown = world.run(&["status", "--json"]).await;
        let backup = world.backup().await;

        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        let shown_json: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(shown_json[0]["last_run"], Value::Null, "{bad:?}");
        assert_eq!(shown_json[0]["backups"], "published");
        for ran in [&shown, &backup] {
            assert!(ran.stderr.contains(event), "{}", ran.stderr);
        }
        assert_eq!(world.newest("data").await.1["kind"], "incremental");
        assert_eq!(status(&world).await[0]["last_run"]["outcome"], "published");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_file_changes_no_decision() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let older = fs::read_to_string(world.state()).unwrap();
    world.backup().await;
    let (newest, _) = world.newest("data").await;
    let older = older.replace("\"published\"", "\"failed\"");
    fs::write(world.state(), older).unwrap();

    let due = world.run(&["--log-level", "debug", "backup"]).await;
    let again = world.backup().await;

    assert!(due.stderr.contains("event=backup_not_due"), "{}", due.stderr);
    assert!(!again.stderr.contains("event=state_file_ignored"), "{}", again.stderr);
    assert_eq!(world.newest("data").await.1["parent_manifest"], newest);
    assert_eq!(status(&world).await[0]["last_run"]["outcome"], "published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_cannot_be_written_is_a_warning() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("state.json", "lock/state.json");

    let ran = world.backup().await;

    assert!(ran.stderr.contains("event=state_file_not_written"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_or_missing_backup_is_reported() {
    let Some(world) = World::start(&["data"]).await else { return };
    let nothing = status(&world).await;
    assert_eq!((&nothing[0]["backups"], &nothing[0]["due"]), (&"nothing".into(), &true.into()));
    assert_eq!(nothing[0]["next_due_at"], Value::Null);
    world.backup().await;
    let (_, newest) = world.newest("data").await;
    world.delete(newest["chunks"][0]["key"].as_str().unwrap()).await;

    let broken = status(&world).await;

    assert_eq!(broken[0]["backups"], "broken");
    assert!(broken[0]["problem"].as_str().unwrap().contains("missing"), "{broken}");
    assert_eq!(broken[0]["history"][0]["state"], "broken");
    assert_eq!(broken[0]["history"][0]["restorable"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_never_reached_the_bucket_is_remembered() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let bucket = "s3.bucket=no-such-bucket";
    let state = format!("global.state_path={:?}", world.state().with_extension("other"));

    let ran = world.run(&["backup", "--once", "--set", bucket, "--set", &state]).await;

    ran.failed_with(1, &["no such bucket"]);
    let text = fs::read_to_string(world.state().with_extension("other")).unwrap();
    assert!(text.contains("\"failed\"") && text.contains("no such bucket"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_published_subvolume_has_a_line_of_metrics() {
    let Some(world) = World::start(&["one", "two"]).await else { return };

    let ran = world.backup().await;

    for name in ["one", "two"] {
        let line = format!("event=backup_metrics subvolume={name} total_bytes=");
        let line = ran.stderr.lines().find(|text| text.contains(&line)).expect(&ran.stderr);
        assert!(line.contains(" elapsed_seconds=") && line.contains("B/s"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_prints_one_line_and_fails_on_any_problem() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    let never = world.run(&["status", "--check"]).await;
    world.backup().await;
    let well = world.run(&["status", "--check"]).await;
    world.age("data", 9).await;
    let overdue = world.run(&["status", "--check"]).await;
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Nth(2), fault }]);
    world.path = Some(stand_in.path_var());
    world.run(&["backup", "--once"]).await;
    world.path = None;
    let failed = world.run(&["status", "--check"]).await;
    let lost = world.run(&["status", "--check", "--set", "s3.bucket=no-such-bucket"]).await;

    #[rustfmt::skip]
    let cases = [
        (never,   1, "PROBLEM: data: never backed up\n"),
        (well,    0, "OK: 1 subvolume, last backup at 20"),
        (overdue, 1, "PROBLEM: data: overdue since 20"),
        (failed,  1, "last run failed: "),
        (lost,    1, "PROBLEM: data: cannot check: "),
    ];
    for (ran, code, text) in cases {
        assert_eq!(ran.code, Some(code), "{text}: {} {}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout);
        assert_eq!(ran.stdout.lines().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_backup_says_whether_it_can_be_restored_and_when_that_was_checked() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let unknown = status(&world).await;
    let ran = world.run(&["verify"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    world.backup().await;

    let shown = status(&world).await;
    let list: Value = serde_json::from_str(&world.run(&["list", "--json"]).await.stdout).unwrap();
    let table = world.run(&["status"]).await;

    let first = &unknown[0]["history"][0];
    assert_eq!((&first["restorable"], &first["last_verified_at"]), (&true.into(), &Value::Null));
    let [newest, oldest] = [0, 1].map(|n| &shown[0]["history"][n]);
    assert_eq!(newest["last_verified_at"], Value::Null, "it was made after the verify");
    assert!(oldest["last_verified_at"].as_str().is_some(), "{oldest}");
    assert_eq!(oldest["last_drill_at"], Value::Null);
    let listed = &list[0]["generations"][0]["backups"][0];
    assert_eq!(listed["last_verified_at"], oldest["last_verified_at"]);
    assert_eq!(listed["restorable"], true);
    assert!(listed["origin"]["host"].as_str().is_some(), "{listed}");
    assert!(table.stdout.contains(", 1 of 2 backups\n"), "{}", table.stdout);
    assert!(table.stdout.contains("  restorable   2 of 2 backups\n"), "{}", table.stdout);
}
