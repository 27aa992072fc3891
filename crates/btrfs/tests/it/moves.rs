//! Moving to another host: a restore keeps the parent of the next incremental.

use std::fs;
use std::path::{Path, PathBuf};

use s3up_testkit::{BtrfsFs, Tree, assert_same_tree, dir, file, hard_link, noise, sparse, symlink};

use crate::fixture::{CHUNK, Ran, World, names_in};

/// Makes a filesystem with a snapshot directory.
fn host() -> BtrfsFs {
    let host = BtrfsFs::create(1 << 30);
    fs::create_dir(host.path().join("snapshots")).expect("a new directory");
    host
}

/// Changes the configuration to the paths of another host.
fn moves_to(world: &World, from: &Path, to: &Path) {
    let quoted = |path: &Path| format!("{:?}", path.to_str().expect("UTF-8"));
    for name in ["snapshots", "data"] {
        world.reconfigure(&quoted(&from.join(name)), &quoted(&to.join(name)));
    }
}

async fn restore_without_file(world: &World, target: &Path, more: &[&str]) -> Ran {
    let endpoint = world.s3.endpoint();
    let bucket = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas"];
    let what = ["--subvolume", "data", "--target", target.to_str().expect("UTF-8")];
    let restore = [&["restore", "--endpoint", &endpoint][..], &bucket, &what, more].concat();
    let ran = world.run(&restore).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran
}

/// Makes a full of several chunks and five incrementals with all kinds of changes.
async fn six_backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    let data = world.subvolume("data");
    Tree::new([
        dir(".").mode(0o750),
        file("readme", "hello").mode(0o640).owner(1000, 1001).xattr("user.note", "kept"),
        file("a/b/deep", "deep").mode(0o4755),
        sparse("sparse", 8 << 20, &[(4 << 20, b"in the middle")]),
        symlink("link", "a/b"),
        hard_link("a/again", "readme"),
        file("big", noise(CHUNK + 1000)),
        file("gone", "to be deleted"),
    ])
    .write(&data);
    world.backup().await;
    for n in 0..5 {
        Tree::new([
            file(format!("new-{n}"), noise(10_000)).mode(0o600 + n).mtime(-5, 999_999_999),
            file("readme", format!("hello {n}")).owner(n, n).xattr("user.note", n.to_string()),
        ])
        .write(&data);
        fs::rename(data.join("a"), data.join("moved"))
            .and_then(|()| fs::rename(data.join("moved"), data.join("a")))
            .expect("a renamed directory");
        if n == 2 {
            fs::remove_file(data.join("gone")).expect("a file of the full");
        }
        // A clone in the stream.
        let clone = std::process::Command::new("cp")
            .args(["--reflink=always", "big"])
            .arg(format!("clone-{n}"))
            .current_dir(&data)
            .status();
        assert!(clone.expect("cp").success());
        world.backup().await;
    }
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_after_a_disaster_is_an_incremental_and_a_third_host_restores_it() {
    let Some(world) = six_backups().await else { return };
    let (second, third) = (host(), host());
    let data = second.path().join("data");
    let (_, newest) = world.newest("data").await;

    let restored = restore_without_file(&world, &data, &[]).await;

    assert!(restored.stderr.contains("backups=6"), "{}", restored.stderr);
    assert!(restored.stderr.contains("event=received_parent_stored"), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &data);
    assert_eq!(names_in(second.path()), [".data.btrfs-to-s3-parent", "data", "snapshots"]);
    moves_to(&world, world.fs.path(), second.path());
    fs::write(data.join("after"), "the fire").unwrap();
    let plan = world.run(&["backup", "--once", "--dry-run"]).await;
    assert!(plan.stdout.contains("incremental"), "{}{}", plan.stdout, plan.stderr);
    assert_eq!(names_in(&second.path().join("snapshots")), Vec::<String>::new());

    world.backup().await;

    let (first_key, first) = world.newest("data").await;
    assert_eq!((&first["kind"], &first["parent_received"]), (&"incremental".into(), &true.into()));
    assert_eq!(first["snapshot"]["parent_uuid"], newest["snapshot"]["uuid"]);
    assert_eq!(names_in(second.path()), ["data", "snapshots"], "the received parent moved there");
    let parent = newest["snapshot"]["name"].as_str().unwrap();
    let names = || {
        let mut names = names_in(&second.path().join("snapshots"));
        names.retain(|name| !name.starts_with('.'));
        names
    };
    assert_eq!(names()[0], parent);
    fs::write(data.join("later"), noise(1000)).unwrap();
    world.backup().await;
    let (_, next) = world.newest("data").await;
    assert_eq!(
        (&next["kind"], &next["parent_manifest"]),
        (&"incremental".into(), &first_key.into())
    );
    assert!(next.get("parent_received").is_none(), "{next}");
    assert_eq!(names().len(), 2, "the old snapshot was deleted");
    assert!(!names().contains(&parent.to_owned()));
    for arguments in [&["verify"][..], &["verify", "--deep"], &["list"], &["status"], &["plan"]] {
        let ran = world.run(arguments).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    }
    let again = third.path().join("data");
    restore_without_file(&world, &again, &[]).await;
    assert_same_tree(&data, &again);
}

/// `btrfs receive` would use any snapshot with the right received UUID as the parent.
#[tokio::test(flavor = "multi_thread")]
async fn a_received_parent_does_not_disturb_a_later_restore() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let second = host();
    let data = second.path().join("data");
    restore_without_file(&world, &data, &[]).await;
    moves_to(&world, world.fs.path(), second.path());
    for n in 0..2 {
        fs::write(data.join("file"), noise(1000 + n)).unwrap();
        world.backup().await;

        let again = second.path().join(format!("again-{n}"));
        restore_without_file(&world, &again, &[]).await;

        assert_same_tree(&data, &again);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_configuration_the_received_parent_is_in_the_snapshot_directory() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    let (_, newest) = world.newest("data").await;
    let second = host();
    moves_to(&world, world.fs.path(), second.path());
    let data = second.path().join("data");

    let ran = world.restore("data", &data).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(names_in(second.path()), ["data", "snapshots"]);
    let snapshots = second.path().join("snapshots");
    let name = newest["snapshot"]["name"].as_str().unwrap();
    assert_eq!(names_in(&snapshots), [".btrfs-to-s3", name]);
    assert_eq!(names_in(&snapshots.join(".btrfs-to-s3")), [format!("{name}.json")]);
    fs::write(data.join("file"), "changed").unwrap();
    world.backup().await;
    assert_eq!(world.newest("data").await.1["kind"], "incremental");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_parent_can_be_moved_into_the_snapshot_directory() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let second = host();
    restore_without_file(&world, &second.path().join("elsewhere"), &[]).await;
    let kept = ".elsewhere.btrfs-to-s3-parent";
    fs::rename(second.path().join("elsewhere"), second.path().join("data")).unwrap();
    let snapshots = second.path().join("snapshots");
    fs::rename(second.path().join(kept), snapshots.join(kept)).unwrap();
    moves_to(&world, world.fs.path(), second.path());

    world.backup().await;

    let (_, newest) = world.newest("data").await;
    assert_eq!(
        (&newest["kind"], &newest["parent_received"]),
        (&"incremental".into(), &true.into())
    );
    assert!(!snapshots.join(kept).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_parent_is_kept_for_an_older_backup_or_with_no_keep_parent() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let (first, _) = world.newest("data").await;
    world.backup().await;
    let second = host();
    let cases: [(&str, &[&str], Option<&str>); 2] = [
        ("dropped", &["--no-keep-parent"], None),
        ("older", &["--manifest-key", &first], Some("it is not the newest backup")),
    ];
    for (name, options, says) in cases {
        let ran = restore_without_file(&world, &second.path().join(name), options).await;

        if let Some(says) = says {
            assert!(ran.stderr.contains(says), "{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("event=received_parent_stored"), "{}", ran.stderr);
    }
    assert_eq!(names_in(second.path()), ["dropped", "older", "snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_received_parent_leads_to_a_full() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let second = host();
    restore_without_file(&world, &second.path().join("data"), &[]).await;
    let directory = second.path().join(".data.btrfs-to-s3-parent");
    let kept: PathBuf = directory.join(&names_in(&directory)[0]);
    s3up_testkit::set_read_only(&kept, false);
    fs::write(kept.join("x"), "x").unwrap();
    s3up_testkit::set_read_only(&kept, true);
    moves_to(&world, world.fs.path(), second.path());

    let ran = world.backup().await;

    assert!(ran.stderr.contains("has changed since"), "{}", ran.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "full");
    assert!(!directory.exists(), "a newer backup is published");
}
