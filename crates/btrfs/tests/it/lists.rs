//! `list` prints what the bucket holds, with and without a configuration file.

use std::fs;

use s3up_testkit::noise;
use serde_json::Value;

use crate::fixture::{CHUNK, Ran, World};

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_generations_chains_and_unknown_objects() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 100)).unwrap();
    world.backup().await;
    world.backup().await;
    world.run(&["backup", "--full"]).await;
    world.write("nas/subvol/data/full/chunk-20200101T000000Z-0.bin", b"lost").await;

    let all = json(&world.run(&["list", "--json"]).await);
    let table = world.run(&["list"]).await;

    let data = &all[0];
    assert_eq!((&data["subvolume"], &data["pointer"]), (&"data".into(), &"published".into()));
    let generations = data["generations"].as_array().unwrap();
    assert_eq!(generations.len(), 2);
    let old = &generations[0]["backups"];
    assert_eq!((&old[0]["kind"], &old[0]["chunks"]), (&"full".into(), &2.into()));
    assert_eq!((&old[1]["kind"], &old[1]["state"]), (&"incremental".into(), &"earlier".into()));
    assert_eq!(old[0]["storage_classes"], serde_json::json!(["STANDARD"]));
    assert_eq!(generations[0]["chains"][0].as_array().unwrap().len(), 2);
    assert_eq!(generations[1]["backups"][0]["state"], "current");
    assert_eq!((&data["unknown_count"], &data["unknown_bytes"]), (&1.into(), &4.into()));
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    assert!(table.stdout.starts_with("SUBVOLUME  CREATED"), "{}", table.stdout);
    for text in ["no manifest names 1 object (4 B)", "chunk-20200101T000000Z-0.bin"] {
        assert!(table.stdout.contains(text), "{}", table.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_needs_no_configuration_file() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    world.backup().await;
    let with = json(&world.run(&["list", "--json"]).await);
    fs::remove_file(world.config()).unwrap();
    let endpoint = world.s3.endpoint();
    let bucket = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas"];
    let mut list = vec!["list", "--json", "--endpoint", &endpoint];
    list.extend(bucket);

    let without = json(&world.run(&list).await);
    let missing = world.run(&["list", "--bucket", "backups"]).await;
    let wrong = world.run(&["list", "--bucket", "b", "--region", "r", "--prefix", "../x"]).await;
    let nothing_said = world.run(&["list"]).await;
    list.pop();
    list.push("Nas");
    let elsewhere = world.run(&list).await;

    assert_eq!(without, with);
    assert_eq!(without.as_array().unwrap().len(), 2);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("--region") && missing.stderr.contains("--prefix"));
    wrong.failed_with(2, &["s3.prefix"]);
    nothing_said.failed_with(2, &["without a configuration, --bucket"]);
    assert_eq!(elsewhere.stdout.trim(), "[]");
    let text = "found no backups below the prefix Nas/; the bucket has backups below: nas/";
    elsewhere.failed_with(1, &[text]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_prefix_in_the_configuration_is_told() {
    let Some(world) = World::start(&["data"]).await else { return };
    let before = world.run(&["list"]).await;
    world.backup().await;

    let wrong = world.run(&["list", "--set", "s3.prefix=nass"]).await;

    assert_eq!(before.code, Some(0), "{}", before.stderr);
    assert!(before.stdout.contains("no backup has been published"), "{}", before.stdout);
    wrong.failed_with(1, &["below the prefix nass/; the bucket has backups below: nas/"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_backup_is_listed_with_its_reason() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    world.backup().await;
    let (_, newest) = world.newest("data").await;
    world.delete(newest["parent_manifest"].as_str().unwrap()).await;

    let ran = world.run(&["list", "--json"]).await;

    let all = json(&ran);
    assert_eq!(all[0]["pointer"], "broken");
    assert_eq!(all[0]["broken"][0]["state"], "broken");
    assert!(all[0]["broken"][0]["error"].as_str().unwrap().contains("is missing"), "{all}");
    // The chunk of the full, its part index and its index.
    assert_eq!(all[0]["unknown_count"], 3);
}
