//! `verify` names every object that is missing or damaged.

use std::fs;

use s3up_testkit::noise;
use serde_json::Value;

use crate::fixture::{CHUNK, Ran, World};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}", ran.stderr))
}

/// Makes a full of two chunks and an incremental.
async fn world() -> Option<World> {
    let world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 100)).expect("a written file");
    world.backup().await;
    world.backup().await;
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undamaged_backup_is_sound_with_and_without_a_configuration_file() {
    let Some(world) = world().await else { return };
    let quick = world.run(&["verify", "--json"]).await;
    let deep = world.run(&["verify", "--deep", "--json"]).await;
    let table = world.run(&["verify"]).await;
    fs::remove_file(world.config()).unwrap();
    let endpoint = world.s3.endpoint();
    let bucket = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas", "--endpoint"];

    let without = [&["verify", "--json"], &bucket[..], &[&endpoint]].concat();
    let without = world.run(&without).await;

    for ran in [&quick, &deep, &table, &without] {
        assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    }
    let (quick, deep) = (&json(&quick)[0], &json(&deep)[0]);
    assert_eq!((&quick["sound"], &quick["backups"]), (&true.into(), &2.into()));
    // Two manifests, two part indexes, three chunks.
    assert_eq!((&quick["objects"], &quick["without_checksum"]), (&7.into(), &0.into()));
    assert_eq!(quick["bytes_read"], Value::Null);
    assert_eq!(deep["bytes_read"], deep["bytes"]);
    assert!(table.stdout.lines().any(|line| line.ends_with("  ok")), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_no_encryption_is_expected() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("[s3]\n", "[s3]\nsse = \"none\"\n");
    world.backup().await;
    let endpoint = world.s3.endpoint();
    let bucket = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas", "--endpoint"];
    let without = [&["verify"], &bucket[..], &[&endpoint]].concat();
    let wanted = [&without[..], &["--set", "s3.sse=AES256"]].concat();

    assert_eq!(world.run(&without).await.code, Some(0));
    let ran = world.run(&wanted).await;
    assert_eq!(ran.code, Some(1));
    let all = ran.stdout + &ran.stderr;
    assert!(all.contains("expected encryption AES256, found none"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_object_is_named() {
    let Some(world) = world().await else { return };
    for key in world.keys().await {
        let good = world.read(&key).await.unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [None, Some(&good[..good.len() / 2]), Some(&flipped[..])] {
            match bad {
                None => world.delete(&key).await,
                Some(bad) => world.write(&key, bad).await,
            }
            // S3 reports nothing about a part index, or an index, that its manifest could confirm.
            let is_index = key.ends_with("-index.bin");
            let deep = (key.ends_with("-parts.json") || is_index) && bad.is_some();

            let ran = world.run(if deep { &["verify", "--deep"] } else { &["verify"] }).await;

            if is_index && bad.is_none() {
                assert!(!ran.stdout.contains(&key), "a backup is as good without: {}", ran.stdout);
                continue;
            }
            let is_flipped = bad == Some(&flipped[..]);
            // A flipped byte of a manifest or a pointer may be insignificant.
            if !is_flipped || key.contains("/chunk-") || deep {
                ran.failed_with(1, &["verify: found problems in data"]);
                assert!(ran.stdout.contains(&key), "{key}: {}", ran.stdout);
            }
        }
        world.write(&key, &good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_the_wrong_encryption_is_named() {
    let Some(world) = world().await else { return };
    let kms = ["verify", "--json", "--set", "s3.sse=\"aws:kms\""];

    let encryption = world.run(&kms).await;

    assert_eq!(encryption.code, Some(1));
    let findings = &json(&encryption)[0]["findings"];
    assert_eq!(findings.as_array().unwrap().len(), 7);
    assert_eq!(findings[0]["what"], "encryption");
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_chunks_are_named_and_not_read() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure(
        "storage_class_chunks = \"STANDARD\"",
        "storage_class_chunks = \"DEEP_ARCHIVE\"",
    );
    world.backup().await;

    let quick = world.run(&["verify"]).await;
    let deep = world.run(&["verify", "--deep", "--json"]).await;

    assert_eq!(quick.code, Some(0), "{}", quick.stderr);
    deep.failed_with(4, &["could not read 1 archived chunk;"]);
    assert_eq!(json(&deep)[0]["archived"].as_array().unwrap().len(), 1);
    assert_eq!(json(&deep)[0]["bytes_read"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subvolume_without_a_pointer_is_not_sound() {
    let Some(world) = World::start(&["data"]).await else { return };

    let ran = world.run(&["verify"]).await;

    ran.failed_with(1, &["verify: found problems in data"]);
    assert!(ran.stdout.contains("nas/subvol/data/current.json: is missing"), "{}", ran.stdout);
}
