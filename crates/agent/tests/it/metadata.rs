//! A change of mode or mtime alone reaches the gateway, without the content.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3up::database::open_read_only;
use s3up_devstore::Op;

use crate::faulty_proxy::{Fault, FaultyProxy};
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

#[tokio::test]
async fn content_that_is_put_back_after_a_lost_answer_is_stored_again() {
    let refuses = Fault::Refuses { method: "PATCH", status: 405 };
    #[rustfmt::skip]
    let cases = [
        // the agent                     mtime of the file  the proxy then
        ("knows of the failure",         None,              Fault::None),
        ("was killed before the answer", None,              Fault::None),
        ("sends a new mtime",            Some(OLD),         Fault::None),
        ("sends a new mtime",            Some(OLD),         refuses),
    ];
    let world = World::start().await;
    let proxy = FaultyProxy::start(world.address()).await;
    for (situation, mtime, fault) in cases {
        let host = Host::new(&proxy.url());
        let file = host.up.join("file");
        host.write("file", "old");
        host.scan().await;
        let kept = fs::metadata(&file).unwrap().modified().unwrap();
        proxy.set(Fault::LosesAnswer { method: "PUT" });
        host.write("file", "new");
        let failed = host.scan().await;
        assert!(!failed.is_clean(), "{situation}: {failed}");
        assert_eq!(host.content("file").await, b"new", "{situation}: the gateway stored it");
        if situation.contains("killed") {
            crate::database::sql(&host, &["DELETE FROM problems"]).await;
        }
        proxy.set(fault);
        host.write("file", "old");
        let mtime = mtime.map_or(kept, |age| UNIX_EPOCH + age);
        File::options().write(true).open(&file).unwrap().set_modified(mtime).unwrap();

        let summary = host.scan().await;

        let total = host.status().await.total;
        assert!(summary.is_clean() && total.protected.files == 1, "{situation}: {summary}");
        assert_eq!(host.content("file").await, b"old", "{situation}, {fault:?}: {summary}");
        proxy.set(Fault::None);
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_take_the_metadata_is_asked_for_the_content() {
    let refuses = |status| Fault::Refuses { method: "PATCH", status };
    let old_gateway = Fault::AnswersAsOldGateway { method: "PATCH" };
    let world = World::start().await;
    let proxy = FaultyProxy::start(world.address()).await;
    for fault in [refuses(403), refuses(405), refuses(501), old_gateway] {
        let host = Host::new(&proxy.url());
        let file = host.up.join("file");
        host.write("file", "content");
        host.scan().await;
        let calls = || [Op::PutObject, Op::CopyObject].map(|op| world.calls(op));
        let before = calls();
        proxy.set(fault);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();

        let kept = host.scan().await;

        let total = host.status().await.total;
        assert!(kept.is_clean() && total.protected.files == 1, "{fault:?}: {kept}");
        assert_eq!(calls(), before, "{fault:?}: the gateway has the content");
        assert_eq!(mode_at_gateway(&host, &file).await, None, "{fault:?}: it was not told");
        proxy.set(Fault::None);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let told = host.scan().await;
        assert!(told.is_clean(), "{fault:?}: {told}");
        let mode = mode_at_gateway(&host, &file).await.expect("the gateway has it");
        assert_eq!((get(&host, "file").await.0 & 0o777, mode), (0o640, 0o640), "{fault:?}");
    }
}

/// Returns the mode that the gateway has, as the database of the agent says.
async fn mode_at_gateway(host: &Host, file: &Path) -> Option<u32> {
    let reader = open_read_only(&host.config().database).await.expect("a database");
    let names = [file.to_str().expect("a path in UTF-8").to_owned()];
    let known = reader.known(&names).await.expect("its row").remove(0);
    reader.close().await;
    known.row.expect("a row").version.expect("a version").mode
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
