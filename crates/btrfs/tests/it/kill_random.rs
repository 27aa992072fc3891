//! A backup is killed (-9) at a hundred random moments. Each rerun succeeds without a manual
//! step, uploads nothing twice that S3 had acknowledged, and leaves nothing behind. The same for a
//! prune and for a restore.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use s3up_devstore::Op;
use s3up_testkit::{
    CLOCK, ProgramEnd, assert_same_tree, delete_subvolume, kill_when, noise, run_to_success,
};

use crate::fixture::{CHUNK, World, index_of, names_in};
use crate::prunes::OFF;

const ROUNDS: u64 = 100;
/// Number of rounds with a kill, half of them of prunes and half of restores.
const OTHER_ROUNDS: u64 = 30;
/// Variable with another number of rounds, which `./check --full` sets.
const OTHER_ROUNDS_VARIABLE: &str = "S3UP_KILL_ROUNDS";
/// Number of backups that are timed before the first kill. Of prunes and restores, one more run is timed.
const TIMED: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_hundred_random_moments_a_rerun_always_succeeds() {
    let Some(world) = World::start(&["data"]).await else { return };
    let seed = seed();
    let mut random = Random(seed);
    let mut longest = Duration::ZERO;
    for round in 0..TIMED {
        let began = CLOCK.start();
        change(&world, round);
        run_to_success(command(&world, round)).await;
        longest = longest.max(began.elapsed());
    }
    let (mut killed, mut resumed) = (0, 0);
    for round in TIMED..TIMED + ROUNDS {
        change(&world, round);
        let moment = longest.mul_f64(random.fraction());
        if let ProgramEnd::Killed =
            kill_when(command(&world, round), tokio::time::sleep(moment)).await
        {
            killed += 1;
        }
        assert_pointer_is_whole(&world, seed, round).await;
        let acknowledged = acknowledged_parts(&world);
        let parts = world.s3.faults().calls(Op::UploadPart);

        let printed = run_to_success(command(&world, round)).await;

        let sent = world.s3.faults().calls(Op::UploadPart) - parts;
        if printed.contains("event=backup_resumed") {
            resumed += 1;
            // The interrupted backup, and the incremental that follows it.
            let published = ["event=backup_uploaded", "event=backup_published"];
            let backups = published.iter().map(|event| printed.matches(event).count()).sum();
            let all = parts_of_newest(&world, backups).await;
            assert!(sent + acknowledged <= all, "{seed} {round}: {sent} + {acknowledged} of {all}");
        }
        assert_nothing_is_left(&world, seed, round).await;
    }
    let target = world.fs.path().join("restored");
    assert_eq!(world.restore("data", &target).await.code, Some(0), "{seed}");
    assert_same_tree(&world.subvolume("data"), &target);
    assert_eq!(world.run(&["verify"]).await.code, Some(0), "{seed}");
    // Most moments are within a run; fewer if the machine was busy during the timing.
    assert!(killed > ROUNDS / 4, "seed {seed}: {killed} were killed, {resumed} resumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_and_a_restore_that_were_killed_at_a_random_moment_are_completed_when_run_again() {
    let Some(world) = World::start(&["data"]).await else { return };
    let seed = seed();
    let mut random = Random(seed);
    let (mut longest, mut killed) = ([Duration::ZERO; 2], [0; 2]);
    let set = std::env::var_os(OTHER_ROUNDS_VARIABLE).and_then(|text| text.into_string().ok());
    let rounds = set.map_or(OTHER_ROUNDS, |text| text.parse().expect("a number of rounds"));
    for round in 0..TIMED + 1 + rounds {
        change(&world, round);
        // A full, and the incremental after which the earlier generation may go.
        let is_prune = !round.is_multiple_of(2);
        let how = if is_prune { "--once" } else { "--full" };
        run_to_success(world.command(&["backup", how, "--set", OFF]).into_std()).await;
        let target = world.fs.path().join("restored");
        let text = target.to_str().expect("a target in UTF-8");
        let restore = ["restore", "--subvolume", "data", "--target", text, "--no-keep-parent"];
        let command = || match is_prune {
            true => world.command(&["prune"]).into_std(),
            false => world.command(&restore).into_std(),
        };
        let kind = usize::from(is_prune);

        if round < TIMED + 1 {
            let began = CLOCK.start();
            run_to_success(command()).await;
            longest[kind] = longest[kind].max(began.elapsed());
        } else {
            let moment = tokio::time::sleep(longest[kind].mul_f64(random.fraction()));
            if let ProgramEnd::Killed = kill_when(command(), moment).await {
                killed[kind] += 1;
            }
            assert_pointer_is_whole(&world, seed, round).await;
            // A restore that was killed at its very end has nothing left to do.
            let staging = world.fs.path().join(".restored.btrfs-to-s3-restore");
            if is_prune || staging.exists() || !target.exists() {
                run_to_success(command()).await;
            }
        }

        if is_prune {
            assert_nothing_is_left(&world, seed, round).await;
        } else {
            assert_same_tree(&world.subvolume("data"), &target);
            delete_subvolume(&target);
            let names = names_in(world.fs.path());
            assert_eq!(names, ["data", "snapshots"], "seed {seed}, round {round}");
        }
    }
    assert_eq!(world.run(&["verify", "--deep"]).await.code, Some(0), "{seed}");
    // Most moments are within a run; fewer if the machine was busy during the timing.
    let enough = rounds / 8;
    assert!(killed.iter().all(|killed| *killed > enough), "seed {seed}: {killed:?} were killed");
}

/// Every fourth run is a full, so that the incremental after it prunes.
fn command(world: &World, round: u64) -> std::process::Command {
    let how = if round.is_multiple_of(4) { "--full" } else { "--once" };
    world.command(&["backup", how]).into_std()
}

/// Writes a file of two chunks, one of them with three parts; it differs each round.
fn change(world: &World, round: u64) {
    let data = world.subvolume("data");
    let mut big = noise(CHUNK + 1000);
    big[..8].copy_from_slice(&round.to_le_bytes());
    fs::write(data.join("big"), big).expect("a written file");
}

async fn assert_pointer_is_whole(world: &World, seed: u64, round: u64) {
    let objects = world.s3.objects("backups");
    let mut next = Some(world.newest("data").await.0);
    while let Some(key) = next {
        let manifest = world.json(&key).await;
        for (key, size) in named(&manifest) {
            let found = objects.get(&key);
            let is_right = found.is_some_and(|found| size.is_none_or(|size| size == *found));
            assert!(is_right, "seed {seed}, round {round}: {key} has {found:?}, not {size:?}");
        }
        next = manifest["parent_manifest"].as_str().map(str::to_owned);
    }
}

/// Asserts that an existing manifest names every object.
async fn assert_nothing_is_left(world: &World, seed: u64, round: u64) {
    let keys: BTreeSet<_> = world.keys().await.into_iter().collect();
    let mut wanted = BTreeSet::from(["nas/subvol/data/current.json".to_owned()]);
    for key in keys.iter().filter(|key| is_manifest(key)) {
        wanted.extend(named(&world.json(key).await).into_iter().map(|(key, _)| key));
        wanted.insert(key.clone());
    }
    assert_eq!(keys, wanted, "seed {seed}, round {round}");
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new(), "seed {seed}, round {round}");
    let snapshots = world.snapshots();
    assert!((1..=2).contains(&snapshots.len()), "seed {seed}, round {round}: {snapshots:?}");
    assert_eq!(world.records(), snapshots, "seed {seed}, round {round}");
}

fn is_manifest(key: &str) -> bool {
    key.contains("/manifest-") && key.ends_with("Z.json")
}

/// Returns the objects of a backup, with the lengths of its chunks.
fn named(manifest: &serde_json::Value) -> Vec<(String, Option<u64>)> {
    let text = |value: &serde_json::Value| value.as_str().expect("a key").to_owned();
    let chunks = manifest["chunks"].as_array().expect("chunks").iter();
    let chunks = chunks.map(|chunk| (text(&chunk["key"]), chunk["size"].as_u64()));
    let parts = text(&manifest["parts"]["key"]);
    let index = index_of(&parts);
    chunks.chain([(parts, None), (index, None)]).collect()
}

/// Returns the number of acknowledged parts in the journals.
fn acknowledged_parts(world: &World) -> u64 {
    let directory = fs::read_dir(world.snapshots_dir().join(".btrfs-to-s3")).expect("a directory");
    let paths = directory.map(|entry| entry.expect("an entry").path());
    let journals = paths.filter(|path| path.extension().is_some_and(|end| end == "journal"));
    let texts = journals.map(|path| fs::read_to_string(path).expect("a journal"));
    texts.map(|text| text.matches("{\"line\":\"part\"").count() as u64).sum()
}

/// Returns the number of parts in the multipart uploads of the newest backups of the chain.
async fn parts_of_newest(world: &World, backups: usize) -> u64 {
    let (_, mut manifest) = world.newest("data").await;
    let mut count = parts_of(world, &manifest).await;
    for _ in 1..backups {
        manifest = world.json(manifest["parent_manifest"].as_str().expect("a parent")).await;
        count += parts_of(world, &manifest).await;
    }
    count
}

async fn parts_of(world: &World, manifest: &serde_json::Value) -> u64 {
    let parts = world.json(manifest["parts"]["key"].as_str().expect("a key")).await;
    let counts = parts["chunks"].as_array().expect("chunks").iter().map(|chunk| {
        let count = chunk["sha256"].as_array().expect("digests").len() as u64;
        if count == 1 { 0 } else { count }
    });
    counts.sum()
}

/// Returns the seed. `S3UP_KILL_SEED` repeats the moments of a failed run.
#[expect(clippy::disallowed_methods, reason = "a failed test must be repeatable")]
#[expect(clippy::print_stdout, reason = "the seed of a test that fails")]
pub fn seed() -> u64 {
    let given = std::env::var("S3UP_KILL_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| getrandom::u64().expect("a random number"));
    println!("S3UP_KILL_SEED={seed}");
    seed
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// Returns a number from 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }
}
