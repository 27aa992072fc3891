//! `send.compressed`, and the warnings about data that streams do not contain.

use std::fs;
use std::process::Command;

use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn, assert_same_tree};

use crate::fixture::World;

#[tokio::test(flavor = "multi_thread")]
async fn compressed_data_is_sent_as_it_is_and_restored() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let property = ["property", "set"].map(std::ffi::OsStr::new);
    let compression = ["compression", "zstd"].map(std::ffi::OsStr::new);
    let mut command = Command::new("btrfs");
    let set = command.args(property).arg(&data).args(compression).status().unwrap();
    assert!(set.success());
    fs::write(data.join("zeros"), vec![b'z'; 8 << 20]).unwrap();
    world.backup().await;
    let (_, plain) = world.newest("data").await;

    let ran = world.run(&["backup", "--full", "--set", "send.compressed=always"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (_, compressed) = world.newest("data").await;
    assert_eq!((&plain["stream_protocol"], &compressed["stream_protocol"]), (&1.into(), &2.into()));
    let bytes = |manifest: &serde_json::Value| manifest["total_bytes"].as_u64().unwrap();
    assert!(bytes(&compressed) < bytes(&plain) / 4, "{compressed} {plain}");
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&data, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_compressed_send_falls_back_or_refuses() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    // The first `btrfs send` prints the help.
    let fault = BtrfsFault::FailsAfter { bytes: 0 };
    let stand_in = || StandIn::new([InjectedFault { command: "send", call: Calls::Nth(1), fault }]);
    let always = stand_in();
    world.path = Some(always.path_var());
    let ran = world.run(&["backup", "--once", "--set", "send.compressed=always"]).await;
    ran.failed_with(2, &["`send.compressed` is `always`", "btrfs-progs 6.0"]);
    assert_eq!(world.snapshots(), Vec::<String>::new());
    let auto = stand_in();
    world.path = Some(auto.path_var());

    let ran = world.run(&["backup", "--once", "--set", "send.compressed=auto"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=send_not_compressed"), "{}", ran.stderr);
    assert_eq!(world.newest("data").await.1["stream_protocol"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_copy_on_write_are_named_before_the_first_full() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::create_dir(data.join("db")).unwrap();
    for n in 0..7 {
        let file = fs::File::create(data.join(format!("db/table-{n}"))).unwrap();
        let flags = rustix::fs::ioctl_getflags(&file).unwrap();
        rustix::fs::ioctl_setflags(&file, flags | rustix::fs::IFlags::NOCOW).unwrap();
    }
    fs::write(data.join("plain"), "x").unwrap();

    let first = world.backup().await;
    let second = world.backup().await;

    let line = first.stderr.lines().find(|line| line.contains("event=nocow_files"));
    let line = line.unwrap_or_else(|| panic!("{}", first.stderr));
    assert!(line.contains("count=7") && line.contains("complete=true"), "{line}");
    assert_eq!(line.matches("db/table-").count(), 5, "{line}");
    assert!(!second.stderr.contains("nocow"), "{}", second.stderr);
}
