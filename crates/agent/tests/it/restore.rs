//! `s3up restore`: everything that the gateway has is restored, and nothing else is touched.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rcgen::IsCa;
use s3up_devstore::Versioning;

use crate::fixture::{Host, KEY, MIB, World, noise, until};
use crate::process::{Output, Process};

#[tokio::test]
async fn names_content_modes_and_times_come_back() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let odd = OsStr::from_bytes(b"2026/caf\xe9 100%41\n.jpg");
    host.write("empty", "");
    host.write(odd, noise(300_000));
    host.write("n".repeat(255), "the longest name");
    host.write("long", noise(9 * MIB + 1));
    let date = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let file = fs::File::options().write(true).open(host.up.join(odd)).unwrap();
    file.set_permissions(Permissions::from_mode(0o640)).unwrap();
    file.set_modified(date).unwrap();
    assert!(host.scan().await.is_clean());

    let target = host.dir.path().join("a/new/target");
    let output = restore(&host, &["uploads"], &target).await;

    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(output.stdout, "restored           4   9.3 MiB\n");
    for path in [Path::new("empty"), odd.as_ref(), Path::new("long"), "n".repeat(255).as_ref()] {
        let (was, is) = (fs::read(host.up.join(path)), fs::read(target.join(path)));
        assert!(was.unwrap() == is.unwrap(), "{path:?}");
    }
    let restored = fs::metadata(target.join(odd)).unwrap();
    assert_eq!(restored.modified().unwrap(), date);
    assert_eq!(restored.permissions().mode() & 0o7777, 0o640);
    assert_eq!(names(&target), ["2026", "empty", "long", &"n".repeat(255)]);
}

#[tokio::test]
async fn a_second_run_fetches_only_what_is_missing_or_was_asked_to_be_replaced() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for name in ["whole", "missing", "changed"] {
        host.write(name, noise(2000));
    }
    host.scan().await;
    let target = host.dir.path().join("target");
    assert_eq!(restore(&host, &["uploads"], &target).await.code, Some(0));
    fs::remove_file(target.join("missing")).unwrap();
    fs::write(target.join("changed"), vec![0; 2000]).unwrap();
    fs::write(target.join("of-the-user"), "stays").unwrap();
    let inode = |name: &str| fs::metadata(target.join(name)).unwrap().ino();
    let whole = inode("whole");

    let preview = restore(&host, &["uploads", "--dry-run", "--json"], &target).await;
    let kept = restore(&host, &["uploads"], &target).await;
    assert_eq!(fs::read(target.join("changed")).unwrap(), vec![0; 2000]);
    let replaced = restore(&host, &["uploads", "--overwrite"], &target).await;

    let preview: serde_json::Value = serde_json::from_str(&preview.stdout).unwrap();
    let count = |name: &str| preview[name]["files"].as_u64().unwrap();
    assert_eq!((count("create"), count("skip"), count("conflicts")), (1, 1, 1), "{preview}");
    assert_eq!(kept.code, Some(3), "{kept:?}");
    let conflict = "not restored: uploads/changed: a file with other content exists; pass --overwrite to replace it\n";
    assert!(kept.stdout.starts_with(conflict), "{kept:?}");
    assert!(kept.stdout.contains("restored           1   2.0 KiB\nskipped            1   2.0 KiB  whole already\nfailed             1   2.0 KiB\n"), "{kept:?}");
    assert!(kept.stderr.contains("event=file_not_restored"), "{kept:?}");
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert!(fs::read(target.join("changed")).unwrap() == noise(2000));
    assert_eq!(inode("whole"), whole, "a whole file was written again");
    assert_eq!(fs::read(target.join("of-the-user")).unwrap(), b"stays");
    assert_eq!(names(&target), ["changed", "missing", "of-the-user", "whole"]);
}

#[tokio::test]
async fn mode_and_time_of_a_whole_file_are_set_on_request_and_counted_otherwise() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for name in ["secret", "touched", "same"] {
        host.write(name, name);
        let file = fs::File::options().write(true).open(host.up.join(name)).unwrap();
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        file.set_modified(date).unwrap();
    }
    host.scan().await;
    let target = host.dir.path().join("target");
    assert_eq!(restore(&host, &["uploads"], &target).await.code, Some(0));
    let open = |name| fs::File::options().write(true).open(target.join(name)).unwrap();
    open("secret").set_permissions(Permissions::from_mode(0o644)).unwrap();
    open("touched").set_modified(date + Duration::from_secs(1)).unwrap();
    let metadata = |name| {
        let metadata = fs::metadata(target.join(name)).unwrap();
        (metadata.permissions().mode() & 0o7777, metadata.modified().unwrap())
    };

    let preview = restore(&host, &["uploads", "--dry-run", "--json"], &target).await;
    let kept = restore(&host, &["uploads"], &target).await;
    assert_eq!(metadata("secret"), (0o644, date));
    let set = restore(&host, &["uploads", "--overwrite", "--json"], &target).await;
    let again = restore(&host, &["uploads", "--overwrite", "--json"], &target).await;

    let counts = |output: &Output| -> (u64, u64, u64) {
        let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let count = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        (
            count(&json["skipped"]["files"]),
            count(&json["metadata_set"]),
            count(&json["metadata_differs"]),
        )
    };
    assert_eq!(counts(&preview), (0, 0, 2), "{preview:?}");
    let differs = "metadata differs: 2 files of another mode or time; pass --overwrite\n";
    assert!(kept.stdout.ends_with(differs), "{kept:?}");
    assert_eq!((counts(&set), counts(&again)), ((3, 2, 0), (3, 0, 0)), "{set:?} {again:?}");
    for name in ["secret", "touched", "same"] {
        assert_eq!(metadata(name), (0o600, date), "{name}");
    }
    assert_eq!((kept.code, set.code), (Some(0), Some(0)));
}

#[tokio::test]
async fn a_restore_that_was_killed_is_resumed_without_fetching_whole_files_again() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..100 {
        host.write(format!("dir/{n:03}"), noise(5000 + n));
    }
    host.write("long", noise(20 * MIB));
    host.scan().await;
    let target = host.dir.path().join("target");
    world.slow(Duration::from_millis(20));
    let arguments = ["restore", "uploads", "--target", target.to_str().unwrap()];
    let mut first = Process::start(&host, &arguments);
    let begun = || fs::read_dir(target.join("dir")).map_or(0, Iterator::count);
    until("a part is restored", async || begun() > 10).await;
    first.kill();
    world.slow(Duration::ZERO);
    let inode = |n| fs::metadata(target.join(format!("dir/{n:03}"))).map(|file| file.ino()).ok();
    let before: Vec<_> = (0..100).map(inode).collect();

    let second = restore(&host, &["uploads", "--json"], &target).await;

    assert_eq!(second.code, Some(0), "{second:?}");
    let summary: serde_json::Value = serde_json::from_str(&second.stdout).unwrap();
    let whole = before.iter().flatten().count();
    assert!((10..100).contains(&whole), "{whole} files were whole");
    assert_eq!(summary["skipped"]["files"], whole, "{summary}");
    assert_eq!(summary["restored"]["files"], 101 - whole, "{summary}");
    for (n, before) in before.into_iter().enumerate() {
        assert!(before.is_none() || before == inode(n), "{n} was whole and was written again");
    }
    for n in 0..100 {
        assert!(fs::read(target.join(format!("dir/{n:03}"))).unwrap() == noise(5000 + n), "{n}");
    }
    assert!(fs::read(target.join("long")).unwrap() == noise(20 * MIB));
    assert_eq!(names(&target), ["dir", "long"]);
    assert_eq!(fs::read_dir(target.join("dir")).unwrap().count(), 100, "a leftover");
}

#[tokio::test]
async fn nothing_is_written_through_a_planted_symlink_or_in_the_place_of_something_else() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for path in ["dir/a", "file", "folder", "parent/b", "fine"] {
        host.write(path, path);
    }
    host.scan().await;
    let (target, outside) = (host.dir.path().join("target"), host.dir.path().join("outside"));
    fs::create_dir_all(target.join("folder")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, target.join("dir")).unwrap();
    symlink(outside.join("secret"), target.join("file")).unwrap();
    fs::write(target.join("parent"), "a file").unwrap();

    let output = restore(&host, &["uploads", "--overwrite"], &target).await;

    assert_eq!(output.code, Some(3), "{output:?}");
    #[rustfmt::skip]
    let want = [
        "not restored: uploads/dir/a: its directory leads through a symlink, which a restore never follows",
        "not restored: uploads/file: expected a file or nothing at its place, found a symlink; move it away",
        "not restored: uploads/folder: expected a file or nothing at its place, found a directory; move it away",
        "not restored: uploads/parent/b: write the file: one of its directories is a file here",
    ];
    let mut lines: Vec<_> = output.stdout.lines().take(4).collect();
    lines.sort_unstable();
    assert_eq!(lines, want);
    assert_eq!(fs::read(target.join("fine")).unwrap(), b"fine");
    assert_eq!(names(&outside), ["secret"]);
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn a_restore_whose_files_all_fail_lists_them_and_exits_with_3() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("dir/a", "dir/a");
    host.scan().await;
    let target = host.dir.path().join("target");
    fs::create_dir_all(target.join("a")).unwrap();

    let preview = restore(&host, &["uploads/dir", "--dry-run"], &target).await;
    let output = restore(&host, &["uploads/dir"], &target).await;

    assert_eq!((preview.code, output.code), (Some(3), Some(3)), "{preview:?} {output:?}");
    let counts = "restored           0       0 B\nfailed             1       5 B\n";
    assert!(output.stdout.starts_with("not restored: uploads/dir/a: "), "{output:?}");
    assert!(output.stdout.ends_with(counts), "{output:?}");
}

#[tokio::test]
async fn deleted_and_overwritten_files_come_back_as_they_were_at_a_time() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("deleted", "deleted later");
    host.write("changed", "the first content");
    host.scan().await;
    // S3 has times in whole seconds.
    let at = next_second().await;
    host.write("changed", "the second content");
    host.write("young", "stored later");
    host.scan().await;
    world.s3_client().delete("webapp/uploads/deleted").await;
    let target = host.dir.path().join("target");

    let then = restore(&host, &["uploads", "--at", &at], &target).await;
    let again = restore(&host, &["uploads", "--at", &at], &target).await;
    let now = restore(&host, &["uploads"], &host.dir.path().join("now")).await;
    let before = restore(&host, &["--at", "2001-01-01"], &target).await;

    assert_eq!((then.code, now.code), (Some(0), Some(0)), "{then:?} {now:?}");
    assert_eq!(names(&target), ["changed", "deleted"]);
    assert_eq!(fs::read(target.join("changed")).unwrap(), b"the first content");
    assert_eq!(fs::read(target.join("deleted")).unwrap(), b"deleted later");
    assert!(again.stdout.contains("skipped            2"), "{again:?}");
    assert_eq!(names(&host.dir.path().join("now")), ["changed", "young"]);
    assert_eq!(before.code, Some(1));
    assert!(before.stderr.contains("the gateway has no file below \"\""), "{before:?}");
}

#[tokio::test]
async fn a_time_is_refused_where_the_bucket_keeps_no_versions() {
    let world = World::with(None, Versioning::Off).await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    let target = host.dir.path().join("target");

    let refused = restore(&host, &["--at", "2099-01-01"], &target).await;
    let invalid = restore(&host, &["--at", "yesterday"], &target).await;

    assert_eq!((refused.code, invalid.code), (Some(1), Some(2)));
    assert!(
        refused.stderr.contains("the bucket keeps no versions, so files cannot"),
        "{refused:?}"
    );
    assert!(invalid.stderr.contains("--at: cannot parse \"yesterday\" as a time"), "{invalid:?}");
    assert!(!target.exists());
}

#[tokio::test]
async fn an_archived_file_is_named_before_and_after() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("warm", "warm");
    host.scan().await;
    world.s3_client().put("webapp/uploads/cold", b"cold", "GLACIER").await;
    let target = host.dir.path().join("target");

    let preview = restore(&host, &["--dry-run"], &target).await;
    assert!(!target.exists());
    let output = restore(&host, &[], &target).await;
    let listed = Process::output(&host, &["list"]).await;

    assert_eq!(preview.code, Some(0));
    let want = "create             2       8 B\narchived           1       4 B  of these, to be thawed first\n";
    assert_eq!(preview.stdout, want);
    assert_eq!(output.code, Some(3), "{output:?}");
    let reason = "not restored: uploads/cold: archived in S3; thaw it first (S3 RestoreObject), then run the command again\n";
    assert!(output.stdout.starts_with(reason), "{output:?}");
    assert_eq!(fs::read(target.join("uploads/warm")).unwrap(), b"warm");
    assert!(listed.stdout.contains("  uploads/cold  (archived)\n"), "{listed:?}");
}

#[tokio::test]
async fn a_new_host_needs_only_address_authority_and_key() {
    let authority = tempfile::tempdir().unwrap();
    let tls = crate::tls::certificate(authority.path(), "server", "localhost", IsCa::NoCa);
    let world = World::with_tls(Some(tls.clone())).await;
    let url = world.url().replace("127.0.0.1", "localhost");
    let mut host = Host::new(&url);
    host.edit("api_key:", &format!("ca_file: {:?}, api_key:", tls.cert));
    host.write("a", "content");
    host.scan().await;
    let new_host = tempfile::tempdir().unwrap();
    let (key, target) = (new_host.path().join("key"), new_host.path().join("target"));
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let restore = || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_s3up"));
        command.args(["restore", "uploads", "--url", &url, "--target"]).arg(&target);
        command.arg("--key-file").arg(&key).env_clear();
        command
    };

    let unknown = restore().output().await.unwrap();
    let output = restore().arg("--ca-file").arg(&tls.cert).output().await.unwrap();

    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    let message = String::from_utf8_lossy(&unknown.stderr);
    assert!(message.contains("ca_file") || message.contains("--ca-file"), "{message}");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(target.join("a")).unwrap(), b"content");
}

#[tokio::test]
async fn a_gateway_that_starts_again_meanwhile_fails_no_file() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..100 {
        host.write(format!("{n}"), noise(1000));
    }
    host.write("long", noise(17 * MIB));
    host.scan().await;
    let target = host.dir.path().join("target");
    world.slow(Duration::from_millis(20));
    let arguments = ["restore", "uploads", "--target", target.to_str().unwrap()];
    let mut process = Process::start(&host, &arguments);
    until("a part is restored", async || fs::read_dir(&target).map_or(0, Iterator::count) > 10)
        .await;

    world.gateway_down().await;
    world.gateway_up().await;
    world.slow(Duration::ZERO);

    assert_eq!(process.wait().await, Some(0), "{}", process.log());
    assert!(fs::read(target.join("long")).unwrap() == noise(17 * MIB));
    assert_eq!(names(&target).len(), 101);
}

#[tokio::test]
async fn a_gateway_that_refuses_the_key_ends_the_restore_at_once() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    world.restart_with("allow: [upload, exists, list]").await;
    let target = host.dir.path().join("target");

    let output = restore(&host, &[], &target).await;

    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.contains("restore \"uploads/a\": gateway refused the request: status 403"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("0 files restored so far, run the same command again to resume")
    );
}

#[tokio::test]
async fn a_second_restore_into_the_same_directory_is_refused() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    let target = host.dir.path().join("target");
    let held = s3up::restore::target_dir::TargetDir::create(&target).unwrap();
    assert!(held.lock().unwrap());

    let output = restore(&host, &[], &target).await;

    assert_eq!(output.code, Some(75), "{output:?}");
    assert!(output.stderr.contains("another restore is writing into it"), "{output:?}");
}

pub async fn restore(host: &Host, arguments: &[&str], target: &Path) -> Output {
    let target = target.to_str().expect("UTF-8");
    Process::output(host, &[&["restore", "--target", target], arguments].concat()).await
}

/// Returns the names in a directory, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries
        .map(|entry| PathBuf::from(entry.file_name()).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Waits for the next second, and returns the end of the one before it.
pub async fn next_second() -> String {
    let second = || s3up::clock::wall_seconds();
    let now = second();
    until("the next second", async || second() > now).await;
    jiff::Timestamp::new(now, 999_999_999).expect("a time").to_string()
}
