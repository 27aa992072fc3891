//! Tests of plans: `plan`, `backup --dry-run` and `backup` agree on what is due.

use std::fs;

use s3up_devstore::Op;
use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn};
use serde_json::Value;

use crate::fixture::{Ran, World};

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_once_follows_the_schedule() {
    let Some(world) = World::start(&["data"]).await else { return };
    let first = world.run(&["backup"]).await;
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let (full, _) = world.newest("data").await;

    let second = world.run(&["--log-level", "debug", "backup"]).await;

    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(second.stderr.contains("event=backup_not_due subvolume=data"), "{}", second.stderr);
    let by_cron = world.run(&["backup"]).await;
    assert_eq!((by_cron.code, &*by_cron.stdout, &*by_cron.stderr), (Some(0), "", ""));
    assert_eq!(world.newest("data").await.0, full);
    assert_eq!(world.snapshots().len(), 1);
    for (days, kind) in [(7, "incremental"), (180, "full")] {
        world.age("data", days).await;
        let ran = world.run(&["backup"]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(world.newest("data").await.1["kind"], kind, "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_forces_a_run() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;

    let again = world.backup().await;

    assert!(again.stderr.contains("requested with --once"), "{}", again.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "incremental");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_printed_and_changes_nothing() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    world.run(&["backup", "--subvolume", "one"]).await;
    let (snapshots, keys) = (world.snapshots(), world.keys().await);
    // A plan takes no lock, so a running backup does not matter.
    let held = world.s3.faults().hold(1);
    let mut busy = world.command(&["backup", "--once", "--subvolume", "one"]).spawn().unwrap();
    held.reached().await;

    let table = world.run(&["plan"]).await;
    let plan = json(&world.run(&["plan", "--json"]).await);
    let dry = json(&world.run(&["backup", "--dry-run", "--json"]).await);
    let once = json(&world.run(&["backup", "--once", "--dry-run", "--json"]).await);
    let full = json(&world.run(&["backup", "--full", "--dry-run", "--json"]).await);

    busy.kill().await.unwrap();
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    assert!(table.stdout.starts_with("SUBVOLUME  DECISION"), "{}", table.stdout);
    assert!(table.stdout.contains("no backup has been published yet"), "{}", table.stdout);
    for plan in [&plan, &dry] {
        assert_eq!(
            (&plan[0]["subvolume"], &plan[0]["decision"]),
            (&"one".into(), &"not_due".into())
        );
        assert_eq!((&plan[1]["subvolume"], &plan[1]["decision"]), (&"two".into(), &"full".into()));
        assert_eq!(plan[0]["snapshot"], Value::Null);
        assert_eq!(plan[0]["next_due_kind"], "incremental");
        assert!(plan[0]["next_due_at"].as_str() > plan[0]["last_backup_at"].as_str(), "{plan}");
        assert!(plan[1]["snapshot"].as_str().unwrap().starts_with("two__"), "{plan}");
    }
    assert_eq!(
        (&once[0]["decision"], &once[0]["parent"]),
        (&"incremental".into(), &snapshots[0].clone().into())
    );
    assert_eq!(
        (&full[0]["decision"], &full[0]["reason"]),
        (&"full".into(), &"requested with --full".into())
    );
    assert_eq!((world.snapshots(), world.keys().await), (snapshots, keys));
    for op in [Op::PutObject, Op::CreateMultipartUpload, Op::DeleteObject] {
        let calls = world.s3.faults().calls(op);
        world.run(&["plan"]).await;
        assert_eq!(world.s3.faults().calls(op), calls, "{op:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subvolume_that_cannot_be_read_is_planned_as_unknown() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    world.backup().await;
    let (key, mut manifest) = world.newest("one").await;
    manifest["version"] = 2.into();
    world.write(&key, manifest.to_string().as_bytes()).await;

    let ran = world.run(&["plan", "--json"]).await;

    ran.failed_with(3, &["plan: 1 of 2 subvolumes done, failed: one"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&plan[0]["subvolume"], &plan[0]["decision"]), (&"two".into(), &"not_due".into()));
    assert_eq!((&plan[1]["subvolume"], &plan[1]["decision"]), (&"one".into(), &"unknown".into()));
    assert!(plan[1]["reason"].as_str().unwrap().contains("a newer version"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_parent_or_manifest_leads_to_a_full_at_once() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    s3up_testkit::delete_subvolume(&world.snapshots_dir().join(&world.snapshots()[0]));
    let parent = world.run(&["backup"]).await;
    world.backup().await;
    let (_, newest) = world.newest("data").await;
    world.delete(newest["parent_manifest"].as_str().unwrap()).await;

    let manifest = world.run(&["backup"]).await;

    for (ran, event) in
        [(parent, "backup_parent_missing"), (manifest, "backup_parent_manifest_missing")]
    {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("event={event} ")), "{}", ran.stderr);
        assert!(ran.stderr.contains("event=backup_uploaded"), "{}", ran.stderr);
    }
    assert_eq!(world.newest("data").await.1["kind"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_zone_of_the_host_decides() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.run(&["backup"]).await;
    for (zone, hour) in [("UTC", "00:00:00Z"), ("Asia/Kolkata", "18:30:00Z")] {
        let mut command = world.command(&["plan", "--json"]);
        let output = command.env("TZ", zone).output().await.unwrap();
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(plan[0]["next_due_at"].as_str().unwrap().ends_with(hour), "{zone}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_is_reported_and_skips_no_backup() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.run(&["backup"]).await;
    fs::write(world.subvolume("data").join("new"), "new").unwrap();
    world.backup().await;
    let (key, mut newest) = world.newest("data").await;
    newest["created_at"] = "20990101T000000Z".into();
    newest["started_at"] = "20990101T000000Z".into();
    world.write(&key, newest.to_string().as_bytes()).await;

    let ran = world.run(&["backup"]).await;
    let again = world.run(&["--log-level", "debug", "backup"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("a clock was wrong"), "{}", ran.stderr);
    assert_eq!(world.newest("data").await.1["created_at"], "20990101T000001Z");
    assert!(again.stderr.contains("event=backup_not_due"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unplanned_full_is_a_warning_or_refused() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    s3up_testkit::delete_subvolume(&world.snapshots_dir().join(&world.snapshots()[0]));
    let refuse = ["--set", "schedule.unplanned_full=refuse"];

    let plan = json(&world.run(&["plan", "--json"]).await);
    let refused = world.run(&[&["backup"][..], &refuse].concat()).await;
    let check = world.run(&["status", "--check"]).await;
    let made = world.run(&["backup"]).await;
    let status = world.run(&["status"]).await;

    let says = plan[0]["unplanned_full"].as_str().expect("a reason");
    assert!(
        says.contains("is missing; the last full was ") && says.contains("likely causes"),
        "{says}"
    );
    refused.failed_with(1, &["schedule.unplanned_full", "is missing", "backup --full"]);
    assert!(
        check.stdout.contains("last run failed: not making an unplanned full"),
        "{}",
        check.stdout
    );
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let warning = made.stderr.lines().find(|line| line.contains("event=unplanned_full"));
    assert!(warning.is_some_and(|line| line.contains("level=warn")), "{}", made.stderr);
    assert!(status.stdout.contains("  unplanned    the full of 20"), "{}", status.stdout);
    let (_, newest) = world.newest("data").await;
    assert!(newest["unplanned_full"].as_str().expect("a reason").contains("is missing"));
    // A full that is asked for is never refused.
    let full = world.run(&[&["backup", "--full"][..], &refuse].concat()).await;
    assert_eq!(full.code, Some(0), "{}", full.stderr);
    assert!(!full.stderr.contains("event=unplanned_full"), "{}", full.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_fails_once_makes_no_full() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let fault = BtrfsFault::DiesAfter { bytes: 0 };
    let call = Calls::Nth(1);
    let stand_in = StandIn::new([InjectedFault { command: "subvolume show", call, fault }]);
    world.path = Some(stand_in.path_var());

    let ran = world.backup().await;

    assert!(ran.stderr.contains("event=parent_read_repeated"), "{}", ran.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "incremental");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_its_prune_will_delete() {
    let Some(world) = World::start(&["data"]).await else { return };
    for how in ["--full", "--once", "--full"] {
        let ran = world.run(&["backup", how]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }

    let dry = ["backup", "--once", "--dry-run"];
    let table = world.run(&dry).await;
    let plan = json(&world.run(&[&dry[..], &["--json"]].concat()).await);
    let kept = ["--set", "retention.keep_days=30"];
    let with_window = json(&world.run(&[&dry[..], &["--json"], &kept].concat()).await);
    let kept = world.run(&[&["backup", "--once"][..], &kept].concat()).await;
    let pruned = world.backup().await;

    assert!(table.stdout.contains("  prune     deletes 2 backups ("), "{}", table.stdout);
    let prune = &plan[0]["prune"];
    assert_eq!(prune["manifests"].as_array().map(Vec::len), Some(2), "{prune}");
    assert_eq!(
        (&prune["restore_window"]["backups"], &prune["restore_window_after"]["backups"]),
        (&4.into(), &2.into())
    );
    assert_eq!(with_window[0]["prune"]["manifests"], serde_json::json!([]), "{with_window}");
    let reason = with_window[0]["prune"]["generations"][0]["reason"].as_str().expect("text");
    assert!(reason.starts_with("the restore window needs it until 20"), "{reason}");
    assert!(!kept.stderr.contains("event=pruned"), "{}", kept.stderr);
    let events: Vec<_> = ["event=backup_to_be_deleted", "event=prune_planned", "event=pruned"]
        .map(|event| pruned.stderr.matches(event).count())
        .to_vec();
    assert_eq!(events, [2, 1, 1], "{}", pruned.stderr);
    assert!(
        pruned.stderr.contains("then 3 backups can be restored, the oldest of 20"),
        "{}",
        pruned.stderr
    );
}
