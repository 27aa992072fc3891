//! Two hosts with one configuration: neither deletes what the other published.

use std::fs;
use std::path::Path;

use s3up_testkit::{BtrfsFs, assert_same_tree};
use serde_json::Value;
use tokio::process::Command;

use crate::fixture::{Ran, World};

/// Runs a command with another host name and another machine id, where there is one.
const ELSEWHERE: &str = "hostname elsewhere && \
    if [ -e /etc/machine-id ]; then mount --bind \"$0\" /etc/machine-id; fi && exec \"$@\"";

/// Another host with its own disk and a copy of the configuration.
struct Elsewhere<'w> {
    world: &'w World,
    fs: BtrfsFs,
}

impl Elsewhere<'_> {
    fn new(world: &World) -> Elsewhere<'_> {
        let fs = BtrfsFs::create(1 << 30);
        fs::create_dir(fs.path().join("snapshots")).expect("a new directory");
        fs::write(fs.path().join("machine-id"), "0123456789abcdef0123456789abcdef\n")
            .expect("a written file");
        Elsewhere { world, fs }
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let quoted = |name: &str| format!("{:?}", self.fs.path().join(name));
        let state = format!("global.state_path={}", quoted("state.json"));
        let lock = format!("global.lock_path={}", quoted("lock"));
        let base_dir = format!("snapshots.base_dir={}", quoted("snapshots"));
        let paths = format!("subvolumes.paths=[{}]", quoted("data"));
        let sets = [state, lock, base_dir, paths];
        let ours = self.world.command(arguments);
        let ours = ours.as_std();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "sh", "-c", ELSEWHERE])
            .arg(self.fs.path().join("machine-id"))
            .arg(ours.get_program())
            .args(ours.get_args())
            .args(sets.iter().flat_map(|set| ["--set", set]))
            .envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::of(command.output().await.expect("unshare"))
    }
}

async fn ok(world: &World, arguments: &[&str]) -> Ran {
    let ran = world.run(arguments).await;
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

/// A full and an incremental of one host.
async fn first_host() -> Option<World> {
    let world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("file"), "of the first host").expect("a written file");
    for how in ["--full", "--once"] {
        ok(&world, &["backup", how]).await;
    }
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_configuration_is_refused_and_deletes_nothing() {
    let Some(world) = first_host().await else { return };
    let other = Elsewhere::new(&world);
    other.fs.subvolume("data");
    let before = world.keys().await;

    let backup = other.run(&["backup", "--once"]).await;
    let plan = other.run(&["plan", "--json"]).await;
    let check = other.run(&["status", "--check"]).await;

    backup.failed_with(2, &["another origin", "give each host its own `s3.prefix`", "--adopt"]);
    assert_eq!(world.keys().await, before);
    assert_eq!(plan.code, Some(2), "{}", plan.stderr);
    assert_eq!(check.code, Some(1), "{}", check.stdout);
    assert!(check.stdout.contains("not by this host"), "{}", check.stdout);
    ok(&world, &["status", "--check"]).await;
    ok(&world, &["backup", "--once"]).await;
    assert_eq!(world.newest("data").await.1["kind"], "incremental");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_prefix_keeps_what_the_first_host_made() {
    let Some(world) = first_host().await else { return };
    let other = Elsewhere::new(&world);
    fs::write(other.fs.subvolume("data").join("file"), "of the second host").unwrap();
    let before = world.keys().await;

    let adopted = other.run(&["backup", "--once", "--adopt"]).await;
    let next = other.run(&["backup", "--once"]).await;
    let first = world.run(&["backup", "--once"]).await;

    assert_eq!(adopted.code, Some(0), "{}", adopted.stderr);
    assert!(adopted.stderr.contains("event=chain_adopted"), "{}", adopted.stderr);
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    let (_, newest) = world.newest("data").await;
    assert_eq!(newest["origin"]["host"], "elsewhere");
    first.failed_with(2, &["host elsewhere", "another origin"]);
    let after = world.keys().await;
    let lost: Vec<_> = before.iter().filter(|key| !after.contains(key)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let kept = other.run(&["prune", "--dry-run"]).await;
    assert!(kept.stdout.contains("another origin; `prune --adopt`"), "{}", kept.stdout);
    let pruned = other.run(&["prune", "--adopt"]).await;
    assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
    assert!(!world.keys().await.iter().any(|key| before.contains(key) && key.ends_with(".bin")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_was_restored_elsewhere_is_continued_there() {
    let Some(world) = first_host().await else { return };
    let other = Elsewhere::new(&world);
    let data = other.fs.path().join("data");
    let target = data.to_str().unwrap();

    let restored = other.run(&["restore", "--subvolume", "data", "--target", target]).await;
    let check = other.run(&["status", "--check"]).await;
    fs::write(data.join("after"), "the fire").unwrap();
    let backup = other.run(&["backup", "--once"]).await;

    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(check.stdout.starts_with("OK: "), "it was restored here: {}", check.stdout);
    assert_eq!(backup.code, Some(0), "{}", backup.stderr);
    assert!(backup.stderr.contains("event=chain_continued_here"), "{}", backup.stderr);
    let (_, newest) = world.newest("data").await;
    assert_eq!(
        (&newest["kind"], &newest["origin"]["host"]),
        (&"incremental".into(), &"elsewhere".into())
    );
    let earlier = newest["earlier_origins"].as_array().expect("a list");
    assert_eq!(earlier.len(), 1, "{newest}");
    // Its generation may be replaced, and the first host is refused from now on.
    for how in ["--full", "--once"] {
        let ran = other.run(&["backup", how]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let keys = world.keys().await;
    let fulls = keys.iter().filter(|key| key.contains("/full/manifest-"));
    assert_eq!(fulls.filter(|key| key.ends_with("Z.json")).count(), 1);
    world.run(&["backup", "--once"]).await.failed_with(2, &["another origin"]);
    let again = world.fs.path().join("again");
    assert_eq!(world.restore("data", &again).await.code, Some(0));
    assert_same_tree(&data, &again);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origins_of_a_chain_survive_its_damage() {
    let Some(world) = first_host().await else { return };
    let other = Elsewhere::new(&world);
    let data = other.fs.path().join("data");
    let target = data.to_str().unwrap();
    for arguments in
        [&["restore", "--subvolume", "data", "--target", target][..], &["backup", "--once"]]
    {
        let ran = other.run(arguments).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let (key, newest) = world.newest("data").await;
    let chunk = newest["chunks"][0]["key"].as_str().expect("a key");
    world.delete(chunk).await;

    let repaired = other.run(&["backup", "--once"]).await;

    assert_eq!(repaired.code, Some(0), "{}", repaired.stderr);
    assert!(repaired.stderr.contains("event=unplanned_full"), "{}", repaired.stderr);
    let (full, newest) = world.newest("data").await;
    assert_ne!(full, key);
    assert_eq!(newest["kind"], "full");
    let earlier = newest["earlier_origins"].as_array().expect("a list");
    assert_eq!(earlier.len(), 1, "the first host: {newest}");
    let kept = other.run(&["prune", "--dry-run"]).await;
    assert!(!kept.stdout.contains("another origin"), "{}", kept.stdout);
}

/// Two clones have one identity: only what each knows tells them apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_the_host_is_noticed() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let clone = BtrfsFs::create(1 << 30);
    fs::create_dir(clone.path().join("snapshots")).unwrap();
    clone.subvolume("data");
    let set = |key: &str, name: &str| format!("{key}={:?}", clone.path().join(name));
    let sets = [
        set("global.state_path", "state.json"),
        set("global.lock_path", "lock"),
        set("snapshots.base_dir", "snapshots"),
        format!("subvolumes.paths=[{:?}]", clone.path().join("data")),
    ];
    let of_clone: Vec<_> =
        sets.iter().flat_map(|set| ["--set", set]).chain(["backup", "--once"]).collect();
    let noticed = |ran: &Ran| ran.stderr.contains("event=newest_backup_unknown_here");

    let first = world.run(&of_clone).await;
    let ours = world.backup().await;
    let again = world.run(&of_clone).await;

    assert_eq!((first.code, again.code), (Some(0), Some(0)), "{}{}", first.stderr, again.stderr);
    assert!(!noticed(&first), "a new host knows nothing: {}", first.stderr);
    assert!(noticed(&ours), "{}", ours.stderr);
    assert!(noticed(&again), "{}", again.stderr);
    assert!(!noticed(&world.run(&of_clone).await), "its own backup is the newest");
}

/// Versions before this one wrote no origin: their chain is ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_an_origin_and_a_rolled_back_subvolume_are_continued() {
    let Some(world) = first_host().await else { return };
    let (key, mut manifest) = world.newest("data").await;
    remove_origin(&mut manifest);
    world.write(&key, manifest.to_string().as_bytes()).await;
    let pointer = "nas/subvol/data/current.json";
    let mut current = world.json(pointer).await;
    remove_origin(&mut current);
    world.write(pointer, current.to_string().as_bytes()).await;
    roll_back(&world, &world.snapshots_dir().join(&world.snapshots()[0]));

    ok(&world, &["backup", "--once"]).await;

    let (_, newest) = world.newest("data").await;
    assert_eq!(newest["kind"], "incremental");
    assert_ne!(newest["origin"]["subvolume_uuid"], Value::Null);
    roll_back(&world, &world.snapshots_dir().join(&world.snapshots()[0]));
    ok(&world, &["backup", "--once"]).await;
    assert_eq!(world.newest("data").await.1["kind"], "incremental");
    assert_ne!(
        world.newest("data").await.1["origin"]["subvolume_uuid"],
        newest["origin"]["subvolume_uuid"]
    );
    ok(&world, &["status", "--check"]).await;
}

fn remove_origin(document: &mut Value) {
    let fields = document.as_object_mut().expect("an object");
    fields.remove("origin").expect("an origin");
    fields.remove("earlier_origins");
}

fn roll_back(world: &World, to: &Path) {
    s3up_testkit::delete_subvolume(&world.subvolume("data"));
    world.fs.snapshot(to, "data");
    s3up_testkit::set_read_only(&world.subvolume("data"), false);
}
