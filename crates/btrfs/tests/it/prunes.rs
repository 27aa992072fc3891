//! `prune`, and the prune at the end of a backup, delete only old generations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use s3up_devstore::{Fault, Op, Versioning};
use s3up_repository::stamp::timestamp;
use s3up_testkit::{
    CLOCK, Checkpoint, assert_same_tree, delete_subvolume, kill_at_each_call, noise, wait_until,
};
use serde_json::Value;

use crate::fixture::{CHUNK, PART, RETRY_FOR, Ran, World, index_of};

const DAY: Duration = Duration::from_secs(24 * 3600);
pub const OFF: &str = "retention.prune=off";

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

/// Two generations of a full and an incremental each; the fulls have two chunks.
async fn two_generations() -> Option<World> {
    let world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 100)).expect("a written file");
    for kind in ["--full", "--once", "--full", "--once"] {
        let ran = world.run(&["backup", kind, "--set", OFF]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    Some(world)
}

/// Returns the keys of the published chain and of the pointer.
async fn published(world: &World) -> BTreeSet<String> {
    let mut keys = BTreeSet::from(["nas/subvol/data/current.json".to_owned()]);
    let mut next = Some(world.newest("data").await.0);
    while let Some(key) = next {
        let manifest = world.json(&key).await;
        keys.extend(named(&manifest));
        next = manifest["parent_manifest"].as_str().map(str::to_owned);
        keys.insert(key);
    }
    keys
}

fn named(manifest: &Value) -> Vec<String> {
    let chunks = manifest["chunks"].as_array().expect("chunks").iter();
    let keys = chunks.map(|chunk| &chunk["key"]).chain([&manifest["parts"]["key"]]);
    let keys = keys.map(|key| key.as_str().expect("a key").to_owned());
    let index = index_of(manifest["parts"]["key"].as_str().expect("a key"));
    keys.chain([index]).collect()
}

async fn keys(world: &World) -> BTreeSet<String> {
    world.keys().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_generation_is_deleted_once_the_new_one_has_an_incremental() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "old").unwrap();
    world.backup().await;
    world.backup().await;
    let old = keys(&world).await;

    let full = world.run(&["backup", "--full"]).await;
    let kept = keys(&world).await;
    let waits = json(&world.run(&["prune", "--dry-run", "--json"]).await);
    let incremental = world.backup().await;

    assert!(!full.stderr.contains("event=pruned"), "{}", full.stderr);
    assert!(old.is_subset(&kept));
    let generations = &waits[0]["generations"];
    assert_eq!(
        (&generations[0]["is_deleted"], &generations[1]["is_deleted"]),
        (&false.into(), &false.into())
    );
    assert_eq!(generations[0]["reason"], "the newer full has no published incremental yet");
    assert!(
        incremental.stderr.contains("event=pruned subvolume=data backups=2 objects=8"),
        "{}",
        incremental.stderr
    );
    assert_eq!(keys(&world).await, published(&world).await);
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_plan_and_deletes_nothing() {
    let Some(world) = two_generations().await else { return };
    let before = keys(&world).await;

    let table = world.run(&["prune", "--dry-run"]).await;
    let plan = json(&world.run(&["prune", "--dry-run", "--json"]).await);
    let aged = ["prune", "--json", "--set", "retention.min_age_days=180"];
    let aged = json(&world.run(&aged).await);

    assert_eq!(keys(&world).await, before);
    assert!(table.stdout.starts_with("SUBVOLUME  GENERATION"), "{}", table.stdout);
    for text in ["data: would delete 20", ": replaced by a newer generation", "data: would keep 20"]
    {
        assert!(table.stdout.contains(text), "{}", table.stdout);
    }
    assert_eq!(
        (&plan[0]["objects"], &plan[0]["generations"][0]["is_deleted"]),
        (&9.into(), &true.into())
    );
    assert!(plan[0]["manifests"][0].as_str().unwrap().contains("/incremental/"), "{plan}");
    let waits = &aged[0]["generations"][0];
    assert!(waits["waits_until"].as_str().is_some(), "{aged}");
    assert!(waits["reason"].as_str().unwrap().starts_with("S3 charges for it until 20"), "{aged}");
    let two = ["prune", "--json", "--set", "retention.generations=2"];
    assert_eq!(json(&world.run(&two).await)[0]["objects"], 0);
    assert_eq!(keys(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_before_its_replacement_is_audited() {
    let Some(world) = two_generations().await else { return };
    let (_, newest) = world.newest("data").await;
    let chunk = newest["chunks"][0]["key"].as_str().unwrap();
    let good = world.read(chunk).await.unwrap();
    let mut bad = good.clone();
    bad[7] ^= 1;
    world.write(chunk, &bad).await;
    let before = keys(&world).await;

    let ran = world.run(&["prune"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("the published chain is incomplete"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(chunk) && ran.stdout.contains("expected checksum"),
        "{}",
        ran.stdout
    );
    assert_eq!(keys(&world).await, before);
    world.write(chunk, &good).await;
    world.run(&["prune"]).await;
    assert_eq!(keys(&world).await, published(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_killed_at_any_call_leaves_whole_backups_and_the_next_one_finishes() {
    let Some(world) = two_generations().await else { return };
    let mut all = BTreeMap::new();
    for key in world.keys().await {
        all.insert(key.clone(), world.read(&key).await.unwrap());
    }
    let needed = published(&world).await;

    let killed = kill_at_each_call(
        &world.s3,
        async |_| {
            let there = keys(&world).await;
            for (key, bytes) in all.iter().filter(|(key, _)| !there.contains(*key)) {
                world.write(key, bytes).await;
            }
        },
        || world.command(&["prune"]).into_std(),
        async |moment| {
            let there = keys(&world).await;
            assert!(needed.is_subset(&there), "{moment:?}");
            for key in there.iter().filter(|key| is_manifest(key)) {
                let manifest = world.json(key).await;
                let parent = manifest["parent_manifest"].as_str().map(str::to_owned);
                for named in named(&manifest).into_iter().chain(parent) {
                    assert!(there.contains(&named), "{moment:?}: {key} lacks {named}");
                }
            }
            if !matches!(moment, Checkpoint::Killed { .. }) {
                assert_eq!(there, needed, "{moment:?}");
            }
        },
    )
    .await;

    // Two manifests, two part indexes, two indexes and chunks of two backups: eight deletes.
    assert!(killed >= 15, "{killed}");
}

fn is_manifest(key: &str) -> bool {
    key.contains("/manifest-") && key.ends_with("Z.json")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_may_not_delete_warns_and_a_prune_fails() {
    let Some(world) = two_generations().await else { return };
    let before = keys(&world).await;
    world.s3.faults().inject(Op::DeleteObject, 1, Fault::AccessDenied);

    let backup = world.backup().await;

    assert!(backup.stderr.contains("event=prune_denied subvolume=data"), "{}", backup.stderr);
    assert!(before.is_subset(&keys(&world).await));
    world.s3.faults().inject(Op::DeleteObject, 1, Fault::AccessDenied);
    world.run(&["prune"]).await.failed_with(1, &["access denied"]);
    assert!(before.is_subset(&keys(&world).await));
    assert_eq!(world.s3.faults().unfired(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_warns_that_old_versions_remain() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.s3.create_bucket("kept", Versioning::Enabled).await.unwrap();
    world.reconfigure("bucket = \"backups\"", "bucket = \"kept\"");
    for kind in ["--full", "--full", "--once"] {
        let ran = world.run(&["backup", kind, "--set", OFF]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }

    let plan = world.run(&["backup", "--once", "--dry-run"]).await;
    let ran = world.run(&["prune"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=old_versions_remain"), "{}", ran.stderr);
    assert!(ran.stdout.contains("data: will delete 1 backup; then"), "{}", ran.stdout);
    assert!(
        plan.stdout.contains("Prune: the bucket keeps versions, so deleted objects remain"),
        "{}",
        plan.stdout
    );
    assert!(
        ran.stderr.matches("remain as old versions").count() == 2,
        "the plan and its result: {}",
        ran.stderr
    );
    assert!(ran.stderr.contains("event=pruned subvolume=data backups=1"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_deleted_only_on_request_and_only_if_old() {
    let Some(world) = two_generations().await else { return };
    let lost = "nas/subvol/data/full/chunk-20200101T000000Z-0.bin";
    world.write(lost, b"lost").await;

    let pruned = world.run(&["prune"]).await;
    let orphans = world.run(&["prune", "--orphans", "--older-than", "1"]).await;
    let alone = world.run(&["prune", "--orphans"]).await;
    let zero = world.run(&["prune", "--orphans", "--older-than", "0"]).await;

    assert_eq!((pruned.code, orphans.code), (Some(0), Some(0)), "{}", orphans.stderr);
    assert!(
        orphans.stderr.contains("event=orphans_deleted subvolume=data objects=0 too_young=1"),
        "{}",
        orphans.stderr
    );
    assert!(keys(&world).await.contains(lost));
    assert_eq!((alone.code, zero.code), (Some(2), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_needs_no_state_file() {
    let Some(world) = two_generations().await else { return };
    for state in ["{", ""] {
        fs::write(world.state().with_extension("prune.json"), state).unwrap();
        let ran = world.run(&["prune", "--dry-run"]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("event=state_file_ignored"), "{}", ran.stderr);
    }

    world.run(&["prune"]).await;

    assert_eq!(keys(&world).await, published(&world).await);
}

/// Kills a backup in its second chunk, on a host that is then lost.
pub async fn lose_host(world: &World) {
    let chunks = keys(world).await.len();
    let held = world.s3.faults().hold_op(Op::UploadPart, 5);
    let arguments = ["backup", "--full", "--set", "s3.concurrency=1"];
    let mut killed = world.command(&arguments).spawn().expect("the program");
    held.reached().await;
    while keys(world).await.len() == chunks {
        tokio::task::yield_now().await;
    }
    killed.kill().await.expect("a kill");
    held.release();
    world.process_tag.assert_no_process_left();
    for snapshot in world.snapshots() {
        delete_subvolume(&world.snapshots_dir().join(snapshot));
    }
    fs::remove_dir_all(world.snapshots_dir().join(".btrfs-to-s3")).expect("the records");
    // No record is left of its name, which has a resolution of seconds: wait for the next.
    let second = || timestamp(CLOCK.now()).as_second();
    let died = second();
    assert!(wait_until(2 * RETRY_FOR, || second() > died));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_host_left_is_deleted_once_it_is_old() {
    let Some(world) = World::start_behind(8 * DAY, &["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 2 * PART)).unwrap();
    lose_host(&world).await;
    let (old_uploads, old_chunks) = (world.s3.uploads("backups"), keys(&world).await);
    world.s3.advance(8 * DAY).await.unwrap();
    lose_host(&world).await;
    let young_chunks = &keys(&world).await - &old_chunks;
    assert_eq!((old_uploads.len(), old_chunks.len(), young_chunks.len()), (1, 1, 1));
    assert_eq!(world.s3.uploads("backups").len(), 2);

    world.backup().await;

    let uploads = world.s3.uploads("backups");
    assert_eq!(uploads.len(), 1, "the young one may still be in progress");
    assert!(!uploads.contains(&old_uploads[0]));
    assert!(old_chunks.is_subset(&keys(&world).await), "a backup deletes no orphans");
    let ran = world.run(&["prune", "--orphans", "--older-than", "7"]).await;
    assert!(ran.stderr.contains("objects=1 too_young=1"), "{}", ran.stderr);
    assert_eq!(keys(&world).await, &published(&world).await | &young_chunks);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_local_snapshots_stay_as_configured() {
    let Some(world) = World::start(&["data"]).await else { return };
    let mut made = Vec::new();
    for retain in [3, 3, 3, 3, 1, 2] {
        let retain = format!("snapshots.retain={retain}");
        let ran = world.run(&["backup", "--once", "--set", &retain]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        made.push(world.newest("data").await.1["snapshot"]["name"].as_str().unwrap().to_owned());
        let stay = made.len().min([1, 2, 3, 3, 1, 2][made.len() - 1]);
        assert_eq!(world.snapshots(), made[made.len() - stay..], "{retain}");
    }

    let none = world.run(&["backup", "--once", "--set", "snapshots.retain=0"]).await;

    none.failed_with(2, &["snapshots.retain", "the last published snapshot is always kept"]);
}
