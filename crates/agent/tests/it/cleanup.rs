//! `s3up cleanup`, and the cleanup of the daemon: files that S3 has are deleted and can be restored.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use s3up_cli::lock_file::LockFile;

use crate::database::sql;
use crate::fixture::{Host, World, noise, until};
use crate::process::{Output, Process};

/// A host whose files may be deleted as soon as they have rested.
pub fn cleaned_host(url: &str) -> Host {
    let mut host = Host::new(url);
    host.add("cleanup: { enabled: true, min_age_days: 0 }\n");
    host
}

/// Uploads all files and verifies them, and makes the verification as old as it has to be.
pub async fn verified(host: &Host) {
    let summary = host.scan().await;
    assert!(summary.is_clean(), "{summary:?}");
    let output = cleanup(host, &[]).await;
    assert!(output.stdout.starts_with("0 files deleted (0 B), "), "{output:?}");
    let old = "UPDATE files SET verified_at = verified_at - 40 * 86400";
    sql(host, &[old]).await;
    rested(host).await;
}

/// Waits until every change of a file is longer ago than its stamp is coarse.
pub async fn rested(host: &Host) {
    let mut dirs = vec![host.up.clone()];
    let mut newest = 0;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("metadata");
            newest = newest.max(metadata.ctime());
            if metadata.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    until("the files have rested", async || s3up::clock::wall_seconds() > newest + 3).await;
}

pub async fn cleanup(host: &Host, arguments: &[&str]) -> Output {
    Process::output(host, &[&["cleanup", "--log-format", "logfmt"], arguments].concat()).await
}

#[tokio::test]
async fn a_file_that_s3_keeps_is_deleted_counted_and_comes_back() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("a", "a");
    host.write("sub/b", noise(300_000));
    host.write("sub/caf\u{e9} %41", "name");
    let dir = host.dir.path();
    host.scan().await;
    let unverified = cleanup(&host, &["--dry-run"]).await;
    verified(&host).await;

    let dry = cleanup(&host, &["--dry-run"]).await;
    let kept = (host.up.join("a").exists(), host.up.join("sub/b").exists());
    let real = cleanup(&host, &[]).await;
    let again = cleanup(&host, &["--json"]).await;
    let rescan = host.scan().await;
    let status = Process::output(&host, &["status"]).await;
    let one = Process::output(&host, &["status", host.up.join("a").to_str().unwrap()]).await;
    let verify = Process::output(&host, &["verify"]).await;
    let target = dir.join("back");
    let restore =
        Process::output(&host, &["restore", "uploads", "--target", target.to_str().unwrap()]).await;

    let total = "3 files would be deleted (293 KiB)";
    assert_eq!((dry.code, dry.stdout.lines().last()), (Some(0), Some(total)), "{dry:?}");
    assert_eq!(kept, (true, true));
    assert!(
        unverified.stdout.ends_with("0 files would be deleted (0 B), 3 would be verified first\n")
    );
    assert_eq!(real.code, Some(0), "{real:?}");
    assert_eq!(real.stdout.lines().last(), Some("3 files deleted (293 KiB)"), "{real:?}");
    let audit = real.stderr.lines().find(|line| line.contains("event=local_file_deleted"));
    let audit = audit.unwrap_or_default();
    for field in ["path=", "remote_path=uploads/", "bytes=", "sha256=", "version_id="] {
        assert!(audit.contains(field), "{field}: {real:?}");
    }
    assert!(
        host.up.join("sub").is_dir() && fs::read_dir(host.up.join("sub")).unwrap().count() == 0
    );
    assert!(again.stdout.contains("\"deleted\":{\"files\":0,\"bytes\":0}"), "{again:?}");
    assert!(rescan.is_clean() && rescan.found == 0, "{rescan:?}");
    let line = "  deleted            3   293 KiB  by cleanup, and stored in S3 only";
    assert!(status.stdout.lines().any(|it| it == line), "{}", status.stdout);
    assert!(status.stdout.contains("  total              0"), "{}", status.stdout);
    assert!(one.stdout.contains("/a: deleted by cleanup at 20"), "{one:?}");
    let want = "0 files verified, 3 deleted by cleanup and in S3, 0 excluded, 0 findings\n";
    assert_eq!((verify.code, verify.stdout.as_str()), (Some(0), want));
    assert_eq!(restore.code, Some(0), "{restore:?}");
    assert_eq!(fs::read(target.join("sub/b")).unwrap(), noise(300_000));
}

#[tokio::test]
async fn a_file_that_is_there_again_is_hashed_and_protected() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    for name in ["same", "other"] {
        host.write(name, name);
    }
    verified(&host).await;
    cleanup(&host, &[]).await;
    assert!(!host.up.join("same").exists() && !host.up.join("other").exists());
    host.write("same", "same");
    host.write("other", "new content");

    let status = host.status().await;
    let scanned = host.scan().await;
    let after = host.status().await;
    let deleted = cleanup(&host, &[]).await;

    assert_eq!(status.total.pending.files, 2, "{status:?}");
    assert_eq!((scanned.ended.unchanged, scanned.ended.uploaded), (1, 1), "{scanned:?}");
    assert_eq!((after.total.protected.files, after.watches[0].locally_deleted.files), (2, 0));
    assert_eq!(host.content("other").await, b"new content");
    // They have to be verified again first.
    assert!(deleted.stdout.starts_with("0 files deleted (0 B), 2 verified"), "{deleted:?}");
}

#[tokio::test]
async fn a_lost_object_of_a_deleted_file_is_a_finding_of_verify() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("a", "a");
    host.write("b", "b");
    verified(&host).await;
    cleanup(&host, &[]).await;
    world.s3_client().delete("webapp/uploads/a").await;

    let verify = Process::output(&host, &["verify"]).await;
    let drill =
        Process::output(&host, &["drill", "--scratch", host.dir.path().to_str().unwrap()]).await;

    assert_eq!((verify.code, drill.code), (Some(1), Some(1)), "{verify:?} {drill:?}");
    assert!(
        verify
            .stdout
            .contains("/a: deleted by cleanup: expected the deleted content at the gateway")
    );
    assert!(drill.stdout.contains("failed: uploads/a: "), "{drill:?}");
}

#[tokio::test]
async fn a_running_agent_takes_a_deletion_for_what_it_is() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    for n in 0..100 {
        host.write(format!("dir/{n}"), noise(1000 + n));
    }
    verified(&host).await;
    let mut agent = Process::start(&host, &["run"]);
    until("the agent watches", async || {
        host.try_status().await.is_some_and(|it| it.watcher.is_some() && it.alive_at.is_some())
    })
    .await;

    let deleted = cleanup(&host, &[]).await;
    host.write("new", "new");
    host.until_stored("new", "new").await;
    let status = host.until_nothing_is_pending().await;
    agent.terminate();
    agent.wait().await;

    assert!(deleted.stdout.contains("100 files deleted ("), "{deleted:?}");
    assert_eq!(status.watches[0].locally_deleted.files, 100, "{status:?}");
    assert_eq!((status.total.protected.files, status.total.total().files), (1, 1), "{status:?}");
    assert!(!agent.log().contains("event=file_problem"), "{}", agent.log());
}

#[tokio::test]
async fn the_agent_gives_a_file_its_name_back_after_a_run_that_died() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    for name in ["renamed", "gone", "untouched"] {
        host.write(name, name);
    }
    verified(&host).await;
    // The state at three moments of a removal.
    fs::rename(host.up.join("renamed"), host.up.join(".s3up-cleanup-1")).unwrap();
    fs::remove_file(host.up.join("gone")).unwrap();
    let died = "UPDATE files SET locally_deleted = 1, deleting_as = '.s3up-cleanup-' || CASE \
                WHEN remote_path LIKE '%renamed' THEN '1' ELSE '2' END";
    sql(&host, &[died]).await;

    let agent = host.started().await;
    until("the file has its name back", async || host.up.join("renamed").exists()).await;
    let status = host.until_nothing_is_pending().await;
    agent.stop().await;

    assert_eq!(fs::read(host.up.join("renamed")).unwrap(), b"renamed");
    assert_eq!(status.total.problems.files, 0, "{status:?}");
    assert_eq!(status.watches[0].locally_deleted.files, 1, "{status:?}");
    assert!(!host.up.join(".s3up-cleanup-1").exists());
}

#[tokio::test]
async fn files_are_deleted_only_while_space_is_short() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    host.write("a", "a");
    verified(&host).await;
    host.edit("min_age_days: 0", "min_age_days: 0, min_free_gb: 1");
    let enough = cleanup(&host, &[]).await;
    host.edit("min_free_gb: 1", "min_free_gb: 10000000");
    let short = cleanup(&host, &[]).await;

    assert_eq!(enough.stdout, "0 files deleted (0 B), 1 not needed\n", "{enough:?}");
    assert!(short.stdout.ends_with("1 file deleted (1 B)\n"), "{short:?}");
}

#[tokio::test]
async fn deletions_are_spread_over_time() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    for n in 0..6 {
        host.write(format!("{n}"), "x");
    }
    verified(&host).await;
    host.edit("min_age_days: 0", "min_age_days: 0, files_per_minute: 120");
    let start = s3up_testkit::CLOCK.start();

    let output = cleanup(&host, &[]).await;

    assert!(output.stdout.ends_with("6 files deleted (6 B)\n"), "{output:?}");
    assert!(start.elapsed() >= std::time::Duration::from_secs(3));
}

#[tokio::test]
async fn nothing_is_deleted_unless_it_is_asked_for() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    host.write("a", "a");
    verified(&host).await;
    host.edit("enabled: true", "enabled: false");
    let off = cleanup(&host, &[]).await;
    let dry = cleanup(&host, &["--dry-run"]).await;
    host.edit("enabled: false", "enabled: true");
    let database = host.dir.path().join("state/client.db.cleanup.lock");
    let lock = LockFile::open(&database).unwrap();
    assert!(lock.try_lock().unwrap());
    let locked = cleanup(&host, &[]).await;

    assert_eq!(off.code, Some(2), "{off:?}");
    assert!(off.stderr.contains("cleanup.enabled is false"), "{off:?}");
    assert!(dry.stdout.ends_with("1 file would be deleted (1 B)\n"), "{dry:?}");
    assert_eq!(locked.code, Some(75), "{locked:?}");
    assert!(Path::new(&host.up.join("a")).exists());
}

#[tokio::test]
async fn the_daemon_cleans_up_at_its_time() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    host.write("a", "a");
    verified(&host).await;
    // The full minute after the agent has started.
    let next = (s3up::clock::wall_seconds() + 15) / 60 + 1;
    let time = format!("time: \"{:02}:{:02}\"", next / 60 % 24, next % 60);
    host.edit("min_age_days: 0", &format!("min_age_days: 0, {time}"));

    let mut agent = Process::start(&host, &["run"]);
    until_late("the file is deleted", || !host.up.join("a").exists()).await;
    until("it is logged", async || agent.log().contains("event=cleanup_done")).await;
    agent.terminate();
    agent.wait().await;

    assert!(agent.log().contains("event=local_file_deleted"), "{}", agent.log());
    assert!(agent.log().contains("deleted=1 bytes=1 verified=0"), "{}", agent.log());
}

/// Waits for something that happens within a minute.
async fn until_late(what: &str, condition: impl Fn() -> bool) {
    let start = s3up_testkit::CLOCK.start();
    while !condition() {
        assert!(start.elapsed() < std::time::Duration::from_secs(120), "timed out: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
