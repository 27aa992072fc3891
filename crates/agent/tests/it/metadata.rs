//! A change of mode or mtime alone reaches the gateway, without the content.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3up_devstore::Op;

use crate::fixture::{Host, World, noise, until};
use crate::process::Process;

const OLD: Duration = Duration::from_secs(1_000_000_000);

#[tokio::test]
async fn a_change_of_mode_or_mtime_reaches_the_gateway_without_the_content() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let long = noise(9 << 20);
    let agent = host.started().await;
    host.write("short", "content");
    host.write("long", &long);
    host.until_stored("short", "content").await;
    host.until_stored("long", &long).await;
    host.until_nothing_is_pending().await;
    let calls = || [Op::PutObject, Op::UploadPart].map(|op| world.calls(op));
    let before = calls();

    fs::set_permissions(host.up.join("short"), Permissions::from_mode(0o600)).unwrap();
    let mtime = UNIX_EPOCH + OLD;
    File::options().write(true).open(host.up.join("long")).unwrap().set_modified(mtime).unwrap();
    until("both are copied", async || world.calls(Op::CopyObject) == 2).await;
    host.until_nothing_is_pending().await;
    agent.stop().await;

    assert_eq!(calls(), before, "content was sent");
    let (mode, _) = get(&host, "short").await;
    let (_, modified) = get(&host, "long").await;
    assert_eq!((mode & 0o777, modified), (0o600, mtime));
    assert_eq!(fs::read(host.dir.path().join("got-long")).unwrap(), long);
    let summary = host.scan().await;
    assert_eq!((summary.protected, summary.found), (3, 0), "{summary}");
}

#[tokio::test]
async fn a_new_ctime_alone_is_not_told() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    host.scan().await;
    let file = host.up.join("file");
    let kept = fs::metadata(&file).unwrap().modified().unwrap();
    fs::rename(&file, host.up.join("other")).unwrap();
    fs::rename(host.up.join("other"), &file).unwrap();
    File::options().write(true).open(&file).unwrap().set_modified(kept).unwrap();

    let touched = host.scan().await;

    assert!(touched.is_clean() && touched.ended.unchanged == 1, "{touched}");
    assert_eq!(world.calls(Op::CopyObject), 0, "nothing changed that is stored");
}

#[tokio::test]
async fn a_file_whose_object_is_gone_is_sent_again_when_it_is_touched() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    host.scan().await;
    world.restart_on_empty_bucket().await;
    fs::set_permissions(host.up.join("file"), Permissions::from_mode(0o640)).unwrap();

    let summary = host.scan().await;

    assert!(summary.is_clean() && summary.uploaded == 1, "{summary}");
    assert_eq!(get(&host, "file").await.0 & 0o777, 0o640);
}

/// Downloads a file and returns the mode and the mtime that it gets.
async fn get(host: &Host, name: &str) -> (u32, SystemTime) {
    let target = host.dir.path().join(format!("got-{name}"));
    let remote = format!("uploads/{name}");
    let path = target.to_str().expect("a path in UTF-8");
    let output = Process::output(host, &["get", &remote, "-o", path]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    let metadata = fs::metadata(target).expect("the file");
    (metadata.permissions().mode(), metadata.modified().expect("a time"))
}
