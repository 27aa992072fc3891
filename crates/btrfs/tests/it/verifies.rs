//! `verify`: what is missing, or is not what it was, is named.

use std::fs;

use s3up_testkit::noise;
use serde_json::Value;

use crate::fixture::{CHUNK, Ran, World};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}", ran.stderr))
}

/// A full of two chunks and an incremental.
async fn world() -> Option<World> {
    let world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 100)).expect("a written file");
    world.backup().await;
    world.backup().await;
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_as_it_was_sent_is_sound_also_without_a_configuration_file() {
    let Some(world) = world().await else { return };
    let told = world.run(&["verify", "--json"]).await;
    let deep = world.run(&["verify", "--deep", "--json"]).await;
    let table = world.run(&["verify"]).await;
    fs::remove_file(world.config()).unwrap();
    let endpoint = world.s3.endpoint();
    let place = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas", "--endpoint"];

    let without = [&["verify", "--json"], &place[..], &[&endpoint]].concat();
    let without = world.run(&without).await;

    for ran in [&told, &deep, &table, &without] {
        assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    }
    let (told, deep) = (&json(&told)[0], &json(&deep)[0]);
    assert_eq!((&told["sound"], &told["backups"]), (&true.into(), &2.into()));
    // Two manifests, two parts files, three chunks.
    assert_eq!((&told["objects"], &told["without_checksum"]), (&7.into(), &0.into()));
    assert_eq!(told["bytes_read"], Value::Null);
    assert_eq!(deep["bytes_read"], deep["bytes"]);
    assert!(table.stdout.contains("sound"), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_no_encryption_is_missed() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("[s3]\n", "[s3]\nsse = \"none\"\n");
    world.backup().await;
    let endpoint = world.s3.endpoint();
    let place = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas", "--endpoint"];
    let without = [&["verify"], &place[..], &[&endpoint]].concat();
    let wanted = [&without[..], &["--set", "s3.sse=AES256"]].concat();

    assert_eq!(world.run(&without).await.code, Some(0));
    let ran = world.run(&wanted).await;
    assert_eq!(ran.code, Some(1));
    let all = ran.stdout + &ran.stderr;
    assert!(all.contains("has the encryption none, expected AES256"), "{all}");
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
            // Of a parts file S3 tells nothing that its manifest knows.
            let deep = key.ends_with("-parts.json") && bad.is_some();

            let ran = world.run(if deep { &["verify", "--deep"] } else { &["verify"] }).await;

            let is_flipped = bad == Some(&flipped[..]);
            // A flipped byte of a manifest or a pointer may be one that says little.
            if !is_flipped || key.contains("/chunk-") || deep {
                ran.failed_with(1, &["verify: not sound: data"]);
                assert!(ran.stdout.contains(&key), "{key}: {}", ran.stdout);
            }
        }
        world.write(&key, &good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_otherwise_than_it_should_be_is_named() {
    let Some(world) = world().await else { return };
    let kms = ["verify", "--json", "--set", "s3.sse=\"aws:kms\""];

    let encryption = world.run(&kms).await;

    assert_eq!(encryption.code, Some(1));
    let findings = &json(&encryption)[0]["findings"];
    assert_eq!(findings.as_array().unwrap().len(), 7);
    assert_eq!(findings[0]["what"], "encryption");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_archived_is_named_and_not_read() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure(
        "storage_class_chunks = \"STANDARD\"",
        "storage_class_chunks = \"DEEP_ARCHIVE\"",
    );
    world.backup().await;

    let told = world.run(&["verify"]).await;
    let deep = world.run(&["verify", "--deep", "--json"]).await;

    assert_eq!(told.code, Some(0), "{}", told.stderr);
    deep.failed_with(4, &["1 chunks are archived and were not read"]);
    assert_eq!(json(&deep)[0]["archived"].as_array().unwrap().len(), 1);
    assert_eq!(json(&deep)[0]["bytes_read"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_where_backups_should_be_is_not_sound() {
    let Some(world) = World::start(&["data"]).await else { return };

    let ran = world.run(&["verify"]).await;

    ran.failed_with(1, &["verify: not sound: data"]);
    assert!(ran.stdout.contains("nas/subvol/data/current.json: is missing"), "{}", ran.stdout);
}
