//! Documents that a lifecycle rule of the bucket moved to an archive class: what a restore has to
//! read is more than chunks.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::Op;
use s3up_store::{Overwrite, PutDocument};
use s3up_testkit::assert_same_tree;
use serde_json::Value;

use crate::fixture::{RETRY_FOR, World};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Makes a full and an incremental.
async fn two_backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    for name in ["one", "two"] {
        fs::write(world.subvolume("data").join(name), name).expect("a written file");
        world.backup().await;
    }
    world.s3.set_restore_delay(5 * HOUR);
    Some(world)
}

/// Moves the objects whose keys end like this to an archive class, as a lifecycle rule does.
async fn archive(world: &World, end: &str) -> usize {
    let keys: Vec<_> = world.keys().await.into_iter().filter(|key| key.ends_with(end)).collect();
    for key in &keys {
        let bytes = world.read(key).await.expect("an object");
        let put = PutDocument {
            key: Key::parse(key).expect("a key"),
            content_type: "application/json",
            metadata: BTreeMap::new(),
            storage_class: Some("GLACIER".to_owned()),
            overwrite: Overwrite::Allowed,
            retry_for: RETRY_FOR,
        };
        world.store.write(put, &bytes).await.expect("a stored object");
    }
    keys.len()
}

fn target(world: &World) -> PathBuf {
    world.fs.path().join("restored")
}

fn requests(world: &World) -> u64 {
    world.s3.faults().calls(Op::RestoreObject)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_part_index_is_shown_and_thawed_with_the_chunks() {
    let Some(world) = two_backups().await else { return };
    assert_eq!(archive(&world, "-parts.json").await, 2);
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];

    let check = world.run(&["status", "--check"]).await;
    assert_eq!(check.code, Some(1), "{}", check.stdout);
    assert!(check.stdout.contains("has to thaw 2 documents"), "{}", check.stdout);
    let verify = world.run(&["verify"]).await;
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    assert_eq!(verify.stdout.matches("is archived (GLACIER)").count(), 2, "{}", verify.stdout);
    let dry = world.run(&[&restore[..], &["--dry-run", "--json"]].concat()).await;
    let preview: Value = serde_json::from_str(&dry.stdout).expect("JSON");
    assert_eq!(preview["thaw"][0]["storage_class"], "GLACIER", "{}", dry.stdout);
    assert_eq!(preview["thaw"][0]["requests"], 2, "{}", dry.stdout);
    assert_eq!(requests(&world), 0);

    let early = world.run(&[&restore[..], &["--no-wait-restore"]].concat()).await;

    early.failed_with(4, &["objects are readable", "run again later: "]);
    assert!(early.stderr.contains("event=documents_archived"), "{}", early.stderr);
    assert_eq!(requests(&world), 2);
    let thaw = world.run(&["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
    assert_eq!(thaw.code, Some(4), "{}", thaw.stderr);
    assert!(thaw.stdout.contains("2 of 4 objects are readable"), "{}", thaw.stdout);
    assert_eq!(requests(&world), 2, "they are in progress");
    world.s3.advance(6 * HOUR).await.unwrap();
    let ready = world.run(&["thaw", "--subvolume", "data"]).await;
    assert_eq!(ready.code, Some(0), "{}", ready.stderr);
    let restored = world.run(&restore).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_manifests_and_an_archived_pointer_are_thawed_first() {
    for end in ["Z.json", "current.json"] {
        let Some(world) = two_backups().await else { return };
        let count = archive(&world, end).await;
        assert!(count > 0, "{end}");
        let target = target(&world);
        let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];

        let check = world.run(&["status", "--check"]).await;
        assert_eq!(check.code, Some(1), "{}", check.stdout);
        assert!(check.stdout.contains("archived"), "{}", check.stdout);
        let verify = world.run(&["verify"]).await;
        assert_eq!(verify.code, Some(1), "{} {}", verify.stdout, verify.stderr);
        let dry = world.run(&[&restore[..], &["--dry-run"]].concat()).await;
        dry.failed_with(4, &["0 of", " readable", "no thaw was requested"]);
        assert_eq!(requests(&world), 0);

        let early = world.run(&[&restore[..], &["--no-wait-restore"]].concat()).await;

        early.failed_with(4, &["0 of", " readable"]);
        assert_eq!(requests(&world), count as u64);
        let thaw = world.run(&["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
        assert_eq!(thaw.code, Some(4), "{}", thaw.stderr);
        world.s3.advance(6 * HOUR).await.unwrap();
        let restored = world.run(&restore).await;
        assert_eq!(restored.code, Some(0), "{}", restored.stderr);
        assert_same_tree(&world.subvolume("data"), &target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_document_stops_no_look_at_the_others_and_no_prune_trusts_it() {
    let Some(world) = World::start(&["data", "home"]).await else { return };
    world.configure(
        &format!("paths = [{:?}, {:?}]", world.subvolume("data"), world.subvolume("home")),
        "[retention]\nkeep_days = 0\nmin_age_days = 0\nprune = \"off\"",
    );
    for how in ["--full", "--once", "--full", "--once"] {
        assert_eq!(world.run(&["backup", how]).await.code, Some(0), "{how}");
    }
    world.s3.set_restore_delay(5 * HOUR);
    let fulls = world.keys().await.into_iter().filter(|key| key.contains("data/full/manifest-"));
    let oldest = fulls.filter(|key| key.ends_with("Z.json")).min().expect("a full");
    assert_eq!(archive(&world, &oldest).await, 1);
    let before = world.keys().await;
    let of = |keys: &[String], name: &str| keys.iter().filter(|key| key.contains(name)).count();

    let list = world.run(&["list", "--json"]).await;
    let table = world.run(&["list"]).await;
    let verify = world.run(&["verify"]).await;
    let check = world.run(&["status", "--check"]).await;
    let pruned = world.run(&["prune"]).await;
    let orphans = world.run(&["prune", "--orphans", "--older-than", "1"]).await;

    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    assert_eq!(
        (&list[0]["pointer"], &list[0]["unread_manifests"]),
        (&"published".into(), &1.into())
    );
    let states: Vec<_> = list[0]["broken"].as_array().expect("a list").iter().collect();
    assert_eq!(states.len(), 2, "the full and the incremental that is based on it: {list}");
    assert!(states.iter().all(|line| line["state"] == "archived"), "{list}");
    assert_eq!((&list[1]["unread_manifests"], &list[1]["unknown_count"]), (&0.into(), &0.into()));
    assert!(table.stdout.contains(&format!("{oldest} is archived")), "{}", table.stdout);
    assert!(table.stdout.contains("`thaw --documents`"), "{}", table.stdout);
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    let finding = format!("data: {oldest}: is archived (GLACIER) and was not read");
    assert!(verify.stdout.contains(&finding), "{}", verify.stdout);
    assert_eq!(verify.stdout.matches("is archived").count(), 1, "{}", verify.stdout);
    assert!(check.stdout.contains("has to thaw 1 document"), "{}", check.stdout);
    assert!(!check.stdout.contains("cannot be restored"), "{}", check.stdout);
    assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
    assert!(pruned.stdout.contains("data: nothing is deleted: "), "{}", pruned.stdout);
    assert_eq!(orphans.code, Some(1), "{}", orphans.stderr);
    let after = world.keys().await;
    assert_eq!(of(&after, "/data/"), of(&before, "/data/"), "nothing of it was deleted");
    assert!(of(&after, "/home/") < of(&before, "/home/"), "the other subvolume was pruned");

    let thaw =
        world.run(&["thaw", "--subvolume", "data", "--documents", "--no-wait-restore"]).await;
    assert_eq!(thaw.code, Some(4), "{}", thaw.stderr);
    assert_eq!(requests(&world), 1, "only the document");
    world.s3.advance(6 * HOUR).await.unwrap();
    let pruned = world.run(&["prune"]).await;
    assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
    assert!(of(&world.keys().await, "/data/") < of(&before, "/data/"), "{}", pruned.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_pointer_stops_the_backup_and_makes_no_full() {
    let Some(world) = two_backups().await else { return };
    archive(&world, "current.json").await;
    let before = world.keys().await;

    let list = world.run(&["list", "--json"]).await;
    let table = world.run(&["list"]).await;
    let pruned = world.run(&["prune"]).await;
    let backup = world.run(&["backup", "--once"]).await;

    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    assert_eq!(list[0]["pointer"], "archived");
    assert_eq!(list[0]["generations"][0]["backups"][1]["state"], "unknown", "{list}");
    assert!(table.stdout.contains("data: the published backup is unknown: "), "{}", table.stdout);
    assert!(pruned.stdout.contains("current.json is archived"), "{}", pruned.stdout);
    backup.failed_with(1, &["archived and was not read", "`thaw --documents`"]);
    assert_eq!(world.keys().await, before);
    assert_eq!(requests(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_restore_waits_for_documents_and_then_for_chunks() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    archive(&world, ".json").await;
    world.s3.set_restore_delay(Duration::ZERO);

    let ran = world.restore("data", &target(&world)).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target(&world));
    assert_eq!(requests(&world), 4, "pointer, manifest, part index and chunk");
}

/// Each step thaws only what the one before has shown to be needed: manifests, the indexes of the
/// chain, the chunk that holds the file with its part index.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_one_file_thaws_what_it_needs_and_nothing_else() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    for (how, name) in [("--full", "early"), ("--full", "wanted"), ("--once", "other")] {
        fs::write(world.subvolume("data").join(name), name).unwrap();
        assert_eq!(world.run(&["backup", how]).await.code, Some(0), "{how}");
    }
    assert_eq!(archive(&world, "-index.bin").await, 3);
    assert_eq!(archive(&world, ".json").await, 7, "a pointer, three manifests and part indexes");
    world.s3.set_restore_delay(5 * HOUR);
    let directory = s3up_testkit::temp_dir();
    let target = directory.path().join("files");
    let text = target.to_str().unwrap();
    let restore = ["restore", "--subvolume", "data", "--path", "wanted", "--target", text];
    let dry = [&restore[..], &["--dry-run", "--json"]].concat();
    let requested = [&restore[..], &["--no-wait-restore"]].concat();

    for (first, count, sum) in [("manifests", 4, 4), ("indexes of the chain", 2, 6)] {
        let planned = world.run(&dry).await;
        planned.failed_with(4, &[&format!("the {first} are archived"), "not known before"]);
        let plan: Value = serde_json::from_str(&planned.stdout).expect("JSON");
        assert_eq!(plan["thaw_first"], first, "{plan}");
        assert_eq!(plan["thaw"][0]["requests"], count, "{plan}");
        assert_eq!(plan["to_thaw"].as_array().unwrap().len(), count, "{plan}");
        let table = world.run(&[&restore[..], &["--dry-run"]].concat()).await;
        assert!(table.stdout.contains(&format!("to thaw first: {first}")), "{}", table.stdout);
        let waits = world.run(&requested).await;
        waits.failed_with(4, &["run again later: "]);
        let again = world.run(&requested).await;
        again.failed_with(4, &["run again later: "]);
        assert_eq!(requests(&world), sum, "each is requested once");
        world.s3.advance(6 * HOUR).await.unwrap();
    }
    let planned = world.run(&dry).await;
    assert_eq!(planned.code, Some(0), "{}", planned.stderr);
    let plan: Value = serde_json::from_str(&planned.stdout).expect("JSON");
    assert_eq!(plan["to_thaw"].as_array().unwrap().len(), 2, "chunk and part index: {plan}");
    world.run(&requested).await.failed_with(4, &["objects are readable"]);
    world.s3.advance(6 * HOUR).await.unwrap();
    let restored = world.run(&requested).await;

    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_eq!(fs::read_to_string(target.join("wanted")).unwrap(), "wanted");
    assert_eq!(requests(&world), 8, "nothing of the other generation and of the other files");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_restore_of_files_waits_for_documents_and_then_for_chunks() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    archive(&world, ".json").await;
    archive(&world, "-index.bin").await;
    world.s3.set_restore_delay(Duration::ZERO);
    let directory = s3up_testkit::temp_dir();
    let target = directory.path().join("files");
    let text = target.to_str().unwrap();
    let restore = ["restore", "--subvolume", "data", "--path", "/", "--target", text];

    let refused = world.run(&[&restore[..], &["--max-cost", "0.001"]].concat()).await;
    let observed = requests(&world);
    let ran = world.run(&restore).await;

    // The prices of this server are not known.
    refused.failed_with(2, &["--max-cost", "no prices are known"]);
    assert_eq!(observed, 0);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
    assert_eq!(requests(&world), 5, "pointer, manifest, index, part index and chunk");
}
