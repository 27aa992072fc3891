//! Every way in which a cleanup must not delete a file: it is kept, and the reason is printed.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::symlink;

use s3up_devstore::{Fault, Op, Versioning};

use crate::cleanup::{cleaned_host, cleanup, rested, verified};
use crate::database::sql;
use crate::fixture::{Host, World};
use crate::mounts::{Kind, Mount};
use crate::process::{Output, Process};
use crate::versions::Mapped;

/// Asserts that the file is there with its content, and that the reason was printed.
fn assert_kept(host: &Host, output: &Output, path: &str, reason: &str) {
    let want = format!("kept: {}/{path}: {reason}", host.up.display());
    assert!(output.stdout.contains(&want), "expected {want:?}, found {output:?}");
    assert!(fs::symlink_metadata(host.up.join(path)).is_ok(), "{path} was deleted: {output:?}");
    assert!(!output.stdout.contains(&format!("deleted: {}/{path} ", host.up.display())));
}

#[tokio::test]
async fn a_file_that_s3_does_not_have_as_it_was_acknowledged_is_kept_with_an_alarm() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    for name in ["lost", "replaced", "other-version", "fine"] {
        host.write(name, name);
    }
    verified(&host).await;
    let s3 = world.s3_client();
    s3.delete("webapp/uploads/lost").await;
    s3.put("webapp/uploads/replaced", b"by others", "STANDARD").await;
    s3.move_to_class("webapp/uploads/other-version", "STANDARD_IA").await;

    let output = cleanup(&host, &[]).await;

    assert_eq!(output.code, Some(3), "{output:?}");
    assert_kept(&host, &output, "lost", "the gateway does not have it");
    assert_kept(&host, &output, "replaced", "the object in S3 carries no SHA-256");
    assert_kept(&host, &output, "other-version", "S3 has another version than the one that was");
    assert!(!host.up.join("fine").exists(), "{output:?}");
    let alarms = output.stderr.lines().filter(|it| it.contains("event=local_file_not_deleted"));
    assert_eq!(alarms.count(), 3, "{output:?}");
}

#[tokio::test]
async fn a_file_is_kept_if_another_client_uploaded_other_content() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("a", "a");
    verified(&host).await;
    let other = Host::new(&world.url());
    other.write("a", "other content");
    other.scan().await;

    let output = cleanup(&host, &[]).await;

    assert_kept(&host, &output, "a", "S3 has other content under its path");
}

#[tokio::test]
async fn a_file_is_kept_if_the_bucket_keeps_no_versions_or_would_lose_it() {
    let world = World::with(None, Versioning::Off).await;
    let host = cleaned_host(&world.url());
    host.write("a", "a");
    host.scan().await;
    let unversioned = cleanup(&host, &[]).await;
    assert_kept(
        &host,
        &unversioned,
        "a",
        "the bucket has to keep versions: expected versioning en",
    );

    let world = World::start().await;
    let host = cleaned_host(&world.url());
    for name in ["archived", "expiring/a", "fine"] {
        host.write(name, name);
    }
    verified(&host).await;
    world.s3_client().move_to_class("webapp/uploads/archived", "DEEP_ARCHIVE").await;
    world.s3_client().expire_after("webapp/uploads/expiring/", 3650).await;
    world.fail(Op::GetBucketLifecycleConfiguration, 1, Fault::AccessDenied);
    let unknown = cleanup(&host, &["--dry-run"]).await;
    let known = cleanup(&host, &[]).await;

    assert_kept(&host, &known, "archived", "archived in S3");
    assert_kept(
        &host,
        &known,
        "expiring/a",
        "the bucket deletes it by a rule: lifecycle rule expire",
    );
    assert!(!host.up.join("fine").exists(), "{known:?}");
    let want = "fine: it is not known whether the bucket deletes it: the gateway cannot read";
    assert!(unknown.stdout.contains(want), "{unknown:?}");
}

#[tokio::test]
async fn a_file_that_is_not_the_uploaded_one_is_kept() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    let names = ["changed", "same-size", "touched", "link", "dir", "fifo", "swapped/a", "silent"];
    for name in names {
        host.write(name, name);
    }
    verified(&host).await;
    host.write("changed", "other content");
    host.write("same-size", "emas-ezis");
    fs::File::open(host.up.join("touched")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let outside = host.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "swapped/a").unwrap();
    fs::rename(host.up.join("link"), outside.join("link")).unwrap();
    symlink(outside.join("link"), host.up.join("link")).unwrap();
    for name in ["dir", "fifo"] {
        fs::remove_file(host.up.join(name)).unwrap();
    }
    fs::create_dir(host.up.join("dir")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(host.up.join("fifo")).status().unwrap();
    assert!(status.success());
    fs::remove_dir_all(host.up.join("swapped")).unwrap();
    symlink(&outside, host.up.join("swapped")).unwrap();
    // Content that changed without a sign: the row and S3 agree, and the disk does not.
    let mut silent = OpenOptions::new().write(true).open(host.up.join("silent")).unwrap();
    std::io::Write::write_all(&mut silent, b"SILENT").unwrap();
    drop(silent);
    record_as_it_is(&host, "silent").await;
    rested(&host).await;

    let output = cleanup(&host, &[]).await;

    for name in ["changed", "same-size", "touched"] {
        assert_kept(&host, &output, name, "changed since it was uploaded");
    }
    for name in ["link", "dir", "fifo"] {
        assert_kept(&host, &output, name, "replaced by something that is not a regular file");
    }
    assert!(output.stdout.contains("/swapped/a: it does not exist any more"), "{output:?}");
    assert!(outside.join("a").exists() && outside.join("link").exists());
    assert_kept(&host, &output, "silent", "its content is not the one that was uploaded");
    assert_eq!(output.code, Some(3), "{output:?}");
}

/// Gives the row of a file the identity that the file has now.
async fn record_as_it_is(host: &Host, name: &str) {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(host.up.join(name)).expect("a file");
    let ns = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    let row = format!(
        "UPDATE files SET mtime_ns = {}, ctime_ns = {}, inode = {} WHERE remote_path = 'uploads/{name}'",
        ns(found.mtime(), found.mtime_nsec()),
        ns(found.ctime(), found.ctime_nsec()),
        found.ino(),
    );
    sql(host, &[&row]).await;
}

#[tokio::test]
async fn a_file_that_a_process_uses_is_kept_until_it_does_not() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    for name in ["written", "read", "mapped"] {
        host.write(name, name);
    }
    verified(&host).await;
    let writer = OpenOptions::new().append(true).open(host.up.join("written")).unwrap();
    let reader = File::open(host.up.join("read")).unwrap();
    let mut mapping = Mapped::new(&host.up.join("mapped"));
    mapping.store(b'x');

    let used = cleanup(&host, &[]).await;
    for name in ["written", "read", "mapped"] {
        assert_kept(&host, &used, name, "a process has it open or mapped");
    }
    drop((writer, reader, mapping));
    let unused = cleanup(&host, &[]).await;

    assert!(unused.stdout.ends_with("2 files deleted (11 B), 1 kept\n"), "{unused:?}");
    assert_kept(&host, &unused, "mapped", "changed since it was uploaded");
}

#[tokio::test]
async fn a_file_waits_from_its_verification_on_and_a_young_one_is_kept() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    host.write("a", "a");
    host.scan().await;
    let first = cleanup(&host, &[]).await;
    let second = cleanup(&host, &[]).await;
    sql(&host, &["UPDATE files SET verified_at = verified_at + 80 * 86400"]).await;
    let future = cleanup(&host, &[]).await;
    sql(&host, &["UPDATE files SET verified_at = verified_at - 120 * 86400"]).await;
    host.edit("min_age_days: 0", "min_age_days: 1");
    let young = cleanup(&host, &[]).await;

    assert_eq!(first.stdout, "0 files deleted (0 B), 1 verified\n");
    let waits = "0 files deleted (0 B), 1 verified less than cleanup.after_days ago\n";
    assert_eq!((second.stdout.as_str(), future.stdout.as_str()), (waits, waits));
    assert_kept(&host, &young, "a", "changed too recently (cleanup.min_age_days)");
}

#[tokio::test]
async fn without_the_gateway_nothing_is_deleted() {
    let mut world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("a", "a");
    verified(&host).await;
    world.fail(Op::HeadObject, 1, Fault::AccessDenied);
    let denied = cleanup(&host, &[]).await;
    world.gateway_down().await;
    let away = cleanup(&host, &[]).await;

    assert_eq!((denied.code, away.code), (Some(1), Some(1)), "{denied:?} {away:?}");
    assert!(away.stderr.contains("ask the gateway what S3 has: cannot reach the gateway"));
    assert!(host.up.join("a").exists());
}

#[tokio::test]
async fn a_database_that_is_older_or_newer_than_the_disk_deletes_nothing() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("a", "old");
    verified(&host).await;
    let old = copy_of_database(&host).await;
    host.write("a", "newer");
    host.scan().await;
    let newer = copy_of_database(&host).await;

    // The database is restored from a backup of its own: the disk and S3 are newer.
    put_database(&host, &old);
    rested(&host).await;
    let older = cleanup(&host, &[]).await;
    assert_kept(&host, &older, "a", "S3 has other content under its path");
    assert_eq!(fs::read(host.up.join("a")).unwrap(), b"newer");

    // The disk is rolled back: the database and S3 are newer.
    put_database(&host, &newer);
    sql(&host, &["UPDATE files SET verified_at = 1"]).await;
    host.write("a", "old");
    rested(&host).await;
    let rolled_back = cleanup(&host, &[]).await;
    assert_kept(&host, &rolled_back, "a", "changed since it was uploaded");
}

async fn copy_of_database(host: &Host) -> Vec<u8> {
    sql(host, &["PRAGMA wal_checkpoint(TRUNCATE)"]).await;
    fs::read(host.dir.path().join("state/client.db")).expect("a database")
}

/// Replaces the database, without the log of the one before.
fn put_database(host: &Host, content: &[u8]) {
    let state = host.dir.path().join("state");
    for name in ["client.db-wal", "client.db-shm"] {
        if state.join(name).exists() {
            fs::remove_file(state.join(name)).expect("a log of the database");
        }
    }
    fs::write(state.join("client.db"), content).expect("a database");
}

#[tokio::test]
async fn a_file_with_another_hard_link_or_an_exclusion_is_kept() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    for name in ["linked", "keep/a", "fine"] {
        host.write(name, name);
    }
    fs::hard_link(host.up.join("linked"), host.dir.path().join("elsewhere")).unwrap();
    verified(&host).await;
    host.edit("min_age_days: 0", "min_age_days: 0, exclude: [\"keep/\"]");

    let output = cleanup(&host, &[]).await;

    assert_kept(&host, &output, "linked", "it has another hard link");
    assert_kept(&host, &output, "keep/a", "excluded, from the watch");
    assert!(!host.up.join("fine").exists());
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[tokio::test]
async fn an_unmounted_root_deletes_nothing_and_loses_no_row() {
    let Some(mut mount) = Mount::new(Kind::Ext4) else { return };
    let world = World::start().await;
    let mut host = Host::on(&world.url(), &mount.path, "mounted");
    host.add("cleanup: { enabled: true, min_age_days: 0 }\n");
    host.write("a", "a");
    verified(&host).await;

    mount.unmount();
    let missing = cleanup(&host, &[]).await;
    fs::create_dir_all(&host.up).unwrap();
    host.write("a", "a");
    let other = cleanup(&host, &[]).await;
    let beneath = fs::read(host.up.join("a")).unwrap();
    fs::remove_dir_all(&host.up).unwrap();
    mount.mount();
    let mounted = cleanup(&host, &[]).await;

    assert_eq!((missing.code, other.code), (Some(3), Some(3)), "{missing:?} {other:?}");
    assert!(missing.stdout.contains("not cleaned up: clean up "), "{missing:?}");
    assert!(other.stdout.contains("expected the filesystem of the last scan"), "{other:?}");
    assert_eq!(beneath, b"a");
    assert!(mounted.stdout.ends_with("1 file deleted (1 B)\n"), "{mounted:?}");
}

#[tokio::test]
async fn a_filesystem_that_hides_changes_keeps_its_files() {
    let Some(mount) = Mount::new(Kind::Tmpfs) else { return };
    let world = World::start().await;
    let mut host = Host::on(&world.url(), &mount.path, "memory");
    host.add("cleanup: { enabled: true, min_age_days: 0 }\n");
    host.write("a", "a");
    verified(&host).await;

    let output = cleanup(&host, &[]).await;

    assert_kept(&host, &output, "a", "its filesystem does not show every change");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_keeps_its_files() {
    let Some(mount) = Mount::new(Kind::Ext4) else { return };
    let world = World::start().await;
    let mut host = Host::on(&world.url(), &mount.path, "fixed");
    host.add("cleanup: { enabled: true, min_age_days: 0 }\n");
    host.write("a", "a");
    verified(&host).await;
    let remount = |option: &str| {
        let mut command = std::process::Command::new("mount");
        command.args(["-o", option]).arg(&mount.path);
        assert!(command.status().unwrap().success(), "{option}");
    };

    remount("remount,ro");
    let output = cleanup(&host, &[]).await;
    remount("remount,rw");
    let verify = Process::output(&host, &["verify"]).await;

    assert_kept(&host, &output, "a", "cannot remove it: ");
    assert_eq!(verify.stdout, "1 file verified, 0 excluded, 0 findings\n");
}

#[tokio::test]
async fn a_file_that_was_excluded_from_its_watch_later_is_kept() {
    for (rule, kept, deleted) in
        [("exclude: [\"/config/\"]", "config/app", "a"), ("recursive: false", "config/app", "a")]
    {
        let world = World::start().await;
        let mut host = cleaned_host(&world.url());
        host.write(kept, "x");
        host.write(deleted, "y");
        verified(&host).await;
        let prefix = "remote_prefix: \"uploads/\"";
        host.edit(prefix, &format!("{prefix}, {rule}"));

        let output = cleanup(&host, &[]).await;

        assert_kept(&host, &output, kept, "excluded, from the watch");
        assert!(!host.up.join(deleted).exists(), "{output:?}");
    }
}

#[tokio::test]
async fn other_content_in_place_of_a_deleted_file_is_an_event() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("journal", "years of lines");
    verified(&host).await;
    cleanup(&host, &[]).await;
    assert!(!host.up.join("journal").exists());

    host.write("journal", "one line");
    let scan = Process::output(&host, &["scan", "--log-format", "logfmt"]).await;

    assert_eq!(scan.code, Some(0), "{scan:?}");
    assert!(scan.stderr.contains("event=deleted_file_replaced"), "{scan:?}");
}

#[tokio::test]
async fn a_file_under_its_temporary_name_is_not_forgotten_when_another_is_uploaded() {
    let world = World::start().await;
    let host = cleaned_host(&world.url());
    host.write("a", "first");
    verified(&host).await;
    // A run died after it renamed the file, and an application wrote another one.
    fs::rename(host.up.join("a"), host.up.join(".s3up-cleanup-1")).unwrap();
    sql(&host, &["UPDATE files SET locally_deleted = 1, deleting_as = '.s3up-cleanup-1'"]).await;
    host.write("a", "second");
    host.scan().await;

    let both = cleanup(&host, &[]).await;
    fs::remove_file(host.up.join("a")).unwrap();
    let one = cleanup(&host, &[]).await;

    assert!(both.stderr.contains("event=deletion_not_recovered"), "{both:?}");
    assert!(one.stderr.contains("restored=true"), "{one:?}");
    assert_eq!(fs::read(host.up.join("a")).unwrap(), b"first");
}
