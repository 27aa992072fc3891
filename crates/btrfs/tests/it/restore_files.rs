//! `restore --path`: files of a backup on any filesystem, without `btrfs receive`.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use s3up_devstore::Op;
use s3up_testkit::{
    Tree, assert_same_tree, char_device, dir, fifo, file, hard_link, noise, sparse,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::{CHUNK, PART, Ran, World, names_in};
use crate::thaws::{thaw_requests, until_it_waits};

async fn restore(world: &World, arguments: &[&str], target: &Path) -> Ran {
    let target = target.to_str().expect("a target in UTF-8");
    let arguments = [&["restore", "--subvolume", "data", "--target", target], arguments].concat();
    world.run(&arguments).await
}

fn target() -> (TempDir, PathBuf) {
    let directory = s3up_testkit::temp_dir();
    let target = directory.path().join("restored");
    (directory, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_a_chain_is_restored_from_the_parts_that_hold_it() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::create_dir_all(data.join("a/b")).unwrap();
    fs::write(data.join("big"), noise(CHUNK + 1000)).unwrap();
    fs::write(data.join("a/b/wanted"), noise(300_000)).unwrap();
    fs::write(data.join("last"), noise(PART)).unwrap();
    world.backup().await;
    for n in 0..3_u8 {
        let wanted = File::options().write(true).open(data.join("a/b/wanted")).unwrap();
        wanted.write_all_at(&[n; 5000], 100_000 * u64::from(n)).unwrap();
        fs::write(data.join(format!("other-{n}")), noise(PART)).unwrap();
        world.backup().await;
    }
    let (_directory, target) = target();
    let before = world.s3.faults().calls(Op::GetObject);

    let preview = restore(&world, &["--path", "a/b/wanted", "--dry-run", "--json"], &target).await;
    let restored = restore(&world, &["--path", "a/b/wanted"], &target).await;

    assert_eq!(preview.code, Some(0), "{}", preview.stderr);
    let preview: Value = serde_json::from_str(&preview.stdout).unwrap();
    assert_eq!((&preview["files"], &preview["bytes"]), (&1.into(), &300_000.into()), "{preview}");
    assert!(preview["fetched_bytes"].as_u64().unwrap() <= 5 * PART, "{preview}");
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(restored.stderr.contains("event=files_restored"), "{}", restored.stderr);
    assert!(world.s3.faults().calls(Op::GetObject) > before);
    assert_eq!(names_in(&target), ["a"], "no staging directory is left");
    assert_eq!(names_in(&target.join("a/b")), ["wanted"]);
    let wanted = fs::read(target.join("a/b/wanted")).unwrap();
    assert!(wanted == fs::read(data.join("a/b/wanted")).unwrap());
    // An older backup has the older content.
    let keys = world.keys().await;
    let full = keys.iter().find(|key| key.contains("/full/manifest-") && key.ends_with("Z.json"));
    let old = target.with_extension("old");
    let arguments = ["--path", "a/b/wanted", "--manifest-key", full.unwrap()];
    let restored = restore(&world, &arguments, &old).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(fs::read(old.join("a/b/wanted")).unwrap() == noise(300_000));
}

/// Returns the length of the range that a call of GetObject has asked for; `None` if it was for a
/// whole object.
fn range_bytes(world: &World, call: u64) -> Option<u64> {
    let headers = world.s3.faults().headers(Op::GetObject, call).expect("the headers of a call");
    let range = headers.get("range")?.to_str().expect("text");
    let (from, to) =
        range.strip_prefix("bytes=").and_then(|it| it.split_once('-')).expect("a range");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    Some(number(to) + 1 - number(from))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_a_full_and_ten_incrementals_costs_two_parts_and_a_megabyte() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("big"), noise(3 * CHUNK)).unwrap();
    fs::write(data.join("wanted"), noise(10 << 10)).unwrap();
    for n in 0..=10_u8 {
        fs::write(data.join(format!("added-{n}")), noise(200_000)).unwrap();
        let big = File::options().write(true).open(data.join("big")).unwrap();
        big.write_all_at(&[n; 4096], 1_000_000 * u64::from(n)).unwrap();
        world.backup().await;
    }
    let (_directory, target) = target();
    let before = world.s3.faults().calls(Op::GetObject);

    let restored = restore(&world, &["--path", "wanted"], &target).await;

    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(fs::read(target.join("wanted")).unwrap() == noise(10 << 10));
    let calls = before + 1..=world.s3.faults().calls(Op::GetObject);
    let ranges: Vec<_> = calls.map(|call| range_bytes(&world, call)).collect();
    let fetched: u64 = ranges.iter().flatten().sum();
    assert!(fetched > 0 && fetched <= 2 * PART + (1 << 20), "{fetched} bytes: {ranges:?}");
    // The pointer, 11 manifests and the part index of the full: a few KiB each.
    let documents = ranges.iter().filter(|range| range.is_none()).count();
    assert!(documents <= 13, "{ranges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_restored_with_everything_that_it_holds() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let acl: [u8; 44] = [
        2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255,
        255, 255, 16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
    ];
    Tree::new([
        dir("home/x").mode(0o2750).owner(1000, 1001).xattr("user.d", "v"),
        file("home/x/plain", "content").mode(0o4751).owner(7, 8).mtime(5, 6).xattr("user.a", "b"),
        file("home/x/acl", "").mode(0o754).xattr("system.posix_acl_access", acl),
        file("home/x/capability", "").xattr(
            "security.capability",
            [1_u8, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        hard_link("home/x/second name", "home/x/plain"),
        sparse("home/x/holes", 50 << 20, &[(30 << 20, b"in the middle")]),
        s3up_testkit::symlink("home/x/link", "/etc/passwd").owner(3, 4).mtime(9, 10),
        fifo("home/x/fifo").mode(0o620),
        char_device("home/x/null", 1, 3).owner(5, 6),
        file(b"home/x/\xff\xfe", "bytes"),
        dir("home/x/empty").mode(0o1777),
        file("not wanted", "no"),
    ])
    .write(&data);
    world.backup().await;
    let (_directory, target) = target();

    let restored = restore(&world, &["--path", "home/"], &target).await;

    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_eq!(names_in(&target), ["home"]);
    assert_same_tree(&data.join("home"), &target.join("home"));
    let holes = fs::metadata(target.join("home/x/holes")).unwrap();
    assert!(std::os::unix::fs::MetadataExt::blocks(&holes) * 512 < 1 << 20, "{holes:?}");
    // By a pattern, and into a directory that has some of it already.
    let again = restore(&world, &["--path", "*.txt", "--path", "home/x/plai?"], &target).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stderr.contains("skipped=1"), "{}", again.stderr);
    let none = restore(&world, &["--path", "*.txt"], &target).await;
    none.failed_with(1, &["no file that matches --path"]);
    let missing = restore(&world, &["--path", "home/y"], &target).await;
    missing.failed_with(1, &["the backup has no file \"home/y\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_subvolume_is_restored_to_another_filesystem() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    Tree::new([
        file("a/b/c", noise(200_000)),
        file("top", "content").owner(1, 2),
        dir(".").mode(0o751).owner(11, 12),
    ])
    .write(&data);
    world.backup().await;
    fs::rename(data.join("a"), data.join("z")).unwrap();
    world.backup().await;
    let (_directory, target) = target();

    let restored = restore(&world, &[], &target).await;

    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(restored.stderr.contains("event=restore_without_btrfs"), "{}", restored.stderr);
    assert_same_tree(&data, &target);
    let directory = target.parent().unwrap();
    assert_eq!(names_in(directory), ["restored"], "nothing else is left");
    restore(&world, &[], &target).await.failed_with(2, &["exists; choose another path"]);
    let below = restore(&world, &["--path", "/"], &target.with_extension("paths")).await;
    assert_eq!(below.code, Some(0), "{}", below.stderr);
    assert_same_tree(&data, &target.with_extension("paths"));
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_files_and_planted_symlinks_are_left_alone() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    Tree::new([file("a/one", "first"), file("b/two", "second"), file("c", "third")]).write(&data);
    world.backup().await;
    let (directory, target) = target();
    let outside = directory.path().join("outside");
    fs::create_dir_all(target.join("a")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(target.join("a/one"), "mine").unwrap();
    symlink(&outside, target.join("b")).unwrap();
    symlink(outside.join("x"), target.join("c")).unwrap();

    let paths = ["--path", "a", "--path", "b", "--path", "c"];
    let refused = restore(&world, &paths, &target).await;

    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("pass --overwrite to replace it"), "{}", refused.stderr);
    // With the directory `b`.
    assert!(refused.stderr.contains("failed=4"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(target.join("a/one")).unwrap(), "mine");
    assert_eq!(names_in(&outside), Vec::<String>::new());
    let preview = restore(&world, &[&paths[..], &["--dry-run", "--json"]].concat(), &target).await;
    assert_eq!(preview.code, Some(3), "{}", preview.stderr);
    let preview: Value = serde_json::from_str(&preview.stdout).unwrap();
    assert_eq!(preview["conflicts"].as_array().unwrap().len(), 3, "{preview}");
    let replaced = restore(&world, &[&paths[..], &["--overwrite"]].concat(), &target).await;
    // The symlink to a directory is no file.
    assert_eq!(replaced.code, Some(3), "{}", replaced.stderr);
    assert_eq!(fs::read_to_string(target.join("a/one")).unwrap(), "first");
    assert_eq!(fs::read_to_string(target.join("c")).unwrap(), "third");
    assert!(!fs::symlink_metadata(target.join("c")).unwrap().is_symlink());
    assert_eq!(names_in(&outside), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_chunks_that_hold_the_file_are_thawed() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    let data = world.subvolume("data");
    fs::write(data.join("big"), noise(2 * CHUNK)).unwrap();
    fs::write(data.join("wanted"), noise(10_000)).unwrap();
    world.backup().await;
    fs::write(data.join("other"), noise(10_000)).unwrap();
    world.backup().await;
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    world.s3.set_restore_delay(day / 4);
    let (_directory, target) = target();

    let dry = ["--path", "wanted", "--dry-run", "--json"];
    let preview = restore(&world, &dry, &target).await;
    let text = target.to_str().unwrap();
    let waiting = ["restore", "--subvolume", "data", "--path", "wanted", "--target", text];
    let mut killed = until_it_waits(&world, &waiting).await;
    killed.kill().await.unwrap();
    assert_eq!(names_in(&target), [".btrfs-to-s3-restore-files"]);
    let waits = restore(&world, &["--path", "wanted", "--no-wait-restore"], &target).await;
    let again = restore(&world, &["--path", "wanted", "--no-wait-restore"], &target).await;

    let preview: Value = serde_json::from_str(&preview.stdout).unwrap();
    assert_eq!(preview["to_thaw"].as_array().unwrap().len(), 1, "{preview}");
    assert_eq!(preview["thaw"][0]["requests"], 1, "{preview}");
    waits.failed_with(4, &["0 of 1 chunk is readable"]);
    again.failed_with(4, &["0 of 1 chunk is readable"]);
    assert_eq!(thaw_requests(&world), 1);
    world.s3.advance(day).await.unwrap();
    let restored = restore(&world, &["--path", "wanted", "--no-wait-restore"], &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(fs::read(target.join("wanted")).unwrap() == noise(10_000));
    assert_eq!(names_in(&target), ["wanted"], "what the killed restore left is removed");
    assert_eq!(thaw_requests(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_part_costs_only_the_files_in_it() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    for n in 0..4 {
        fs::write(data.join(format!("file-{n}")), noise(2 * PART)).unwrap();
    }
    world.backup().await;
    let keys = world.keys().await;
    let first = keys.iter().find(|key| key.ends_with("-0.bin")).unwrap();
    let mut bytes = world.read(first).await.unwrap();
    bytes[1000] ^= 1;
    world.write(first, &bytes).await;
    // S3 itself tells that the checksum of the object has changed, unless the manifest names none.
    let (key, mut manifest) = world.newest("data").await;
    for chunk in manifest["chunks"].as_array_mut().unwrap() {
        chunk["crc64nvme"].take();
    }
    world.write(&key, manifest.to_string().as_bytes()).await;
    let (_directory, target) = target();

    let restored = restore(&world, &["--path", "/"], &target).await;

    assert_eq!(restored.code, Some(3), "{}", restored.stderr);
    assert!(restored.stderr.contains("failed=1"), "{}", restored.stderr);
    assert!(restored.stderr.contains("SHA-256 mismatch"), "{}", restored.stderr);
    assert_eq!(names_in(&target).len(), 3);
    for name in names_in(&target) {
        assert!(fs::read(target.join(name)).unwrap() == noise(2 * PART));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_restores_what_its_rights_allow() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    Tree::new([
        file("mine", "content").owner(65_534, 65_534).mode(0o640),
        file("of root", "content").mode(0o4755),
        fifo("fifo").owner(65_534, 65_534),
        char_device("null", 1, 3),
    ])
    .write(&data);
    world.backup().await;
    let (directory, target) = target();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open).unwrap();
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::chown(&target, Some(65_534), Some(65_534)).unwrap();
    // The program may lie where this user cannot go.
    let program = directory.path().join("btrfs-to-s3");
    fs::copy(env!("CARGO_BIN_EXE_btrfs-to-s3"), &program).unwrap();
    let endpoint = world.s3.endpoint();
    let target_text = target.to_str().unwrap();
    let mut command = tokio::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    command.args(["--log-format", "logfmt", "restore", "--subvolume", "data", "--path", "/"]);
    command.args(["--target", target_text, "--bucket", "backups", "--region", "us-east-1"]);
    command.args(["--prefix", "nas", "--endpoint", &endpoint]);
    let template = world.command(&[]);
    let template = template.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(template).env("TMPDIR", &target);

    let restored = Ran::of(command.output().await.unwrap());

    assert_eq!(restored.code, Some(3), "{}", restored.stderr);
    let warned = |text: &str| {
        assert!(restored.stderr.contains(text), "{text} is not in {}", restored.stderr);
    };
    warned("event=metadata_not_set");
    warned("what=owner");
    warned("setuid and setgid bits");
    warned("event=file_not_restored path=null");
    assert_eq!(names_in(&target), ["fifo", "mine", "of root"]);
    let mode = |name| {
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(target.join(name)).unwrap()) & 0o7777
    };
    assert_eq!((mode("mine"), mode("of root")), (0o640, 0o755));
}
