//! `send.compressed`, `send.protocol`, and the warnings about what streams do not carry.

use std::fs;
use std::process::Command;

use rustix::fs::{FallocateFlags, IFlags};
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
    assert_eq!((&plain["stream_protocol"], &compressed["stream_protocol"]), (&2.into(), &2.into()));
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
    assert_eq!(world.newest("data").await.1["stream_protocol"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_chosen_apart_from_compression() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("disk.img"), s3up_testkit::noise(8 << 20)).unwrap();
    for (protocol, want) in [("auto", 2), ("1", 1), ("2", 2)] {
        let setting = format!("send.protocol={protocol}");
        let ran = world.run(&["backup", "--once", "--set", &setting]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(world.newest("data").await.1["stream_protocol"], want, "{protocol}");
        let disk = fs::OpenOptions::new().write(true).open(data.join("disk.img")).unwrap();
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&disk, flags, want << 20, 1 << 20).unwrap();
    }
    world.backup().await;

    // A chain of both protocols, with holes that came in both ways.
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&data, &target);
    let listed = world.run(&["list"]).await;
    let needs = "data: restoring 3 of 4 backups needs btrfs-progs 6.2 or later\n";
    assert!(listed.stdout.contains(needs), "{}", listed.stdout);
    let json = world.run(&["list", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let backups = json[0]["generations"][0]["backups"].as_array().unwrap();
    let needs: Vec<_> = backups.iter().map(|backup| backup["restore_needs"].as_str()).collect();
    assert_eq!(
        needs,
        [Some("btrfs-progs 6.2"), None, Some("btrfs-progs 6.2"), Some("btrfs-progs 6.2")]
    );
    let refused = world.run(&["backup", "--set", "send.protocol=3"]).await;
    refused.failed_with(2, &["send.protocol: expected one of auto, 1, 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_copy_on_write_are_named_once() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::create_dir(data.join("db")).unwrap();
    for n in 0..7 {
        set_flags(&fs::File::create(data.join(format!("db/table-{n}"))).unwrap(), IFlags::NOCOW);
    }
    fs::write(data.join("plain"), "x").unwrap();

    let first = world.backup().await;
    fs::write(data.join("db/table-1"), "changed").unwrap();
    let second = world.backup().await;
    fs::create_dir(data.join("images")).unwrap();
    set_flags(&fs::File::open(data.join("images")).unwrap(), IFlags::NOCOW);
    fs::write(data.join("images/disk"), "inherits it").unwrap();
    let third = world.backup().await;

    let line = first.stderr.lines().find(|line| line.contains("event=nocow_files"));
    let line = line.unwrap_or_else(|| panic!("{}", first.stderr));
    assert!(line.contains("count=7") && line.contains("complete=true"), "{line}");
    assert_eq!(line.matches("db/table-").count(), 5, "{line}");
    assert!(!second.stderr.contains("nocow"), "{}", second.stderr);
    let line = third.stderr.lines().find(|line| line.contains("event=nocow_files"));
    let line = line.unwrap_or_else(|| panic!("{}", third.stderr));
    assert!(line.contains("count=2") && line.contains("images/disk"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_preallocation_and_swap_files_are_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("plain"), "x").unwrap();
    let clean = world.backup().await;
    for (name, flag) in [("logged", IFlags::APPEND), ("undumped", IFlags::NODUMP)] {
        set_flags(&fs::File::create(data.join(name)).unwrap(), flag);
    }
    let reserved = fs::File::create(data.join("reserved")).unwrap();
    rustix::fs::fallocate(&reserved, FallocateFlags::empty(), 0, 64 << 20).unwrap();
    let beyond = fs::File::create(data.join("beyond the end")).unwrap();
    std::io::Write::write_all(&mut &beyond, &s3up_testkit::noise(1 << 20)).unwrap();
    rustix::fs::fallocate(&beyond, FallocateFlags::KEEP_SIZE, 1 << 20, 32 << 20).unwrap();
    let swap = data.join("swap file");
    let file = fs::File::create(&swap).unwrap();
    set_flags(&file, IFlags::NOCOW);
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 1 << 20).unwrap();
    assert!(Command::new("mkswap").arg(&swap).output().unwrap().status.success());

    let ran = world.backup().await;
    let again = world.backup().await;

    #[rustfmt::skip]
    let cases = [
        ("attributes_not_sent",    &["level=warn", "count=2", "flags=ad", "logged", "undumped"][..]),
        ("preallocation_not_sent", &["level=warn", "count=2", "bytes=100663296", "reserved", "beyond the end"]),
        ("swap_file_in_snapshot",  &["level=warn", "count=1", "swap file"]),
        ("nocow_files",            &["count=1"]),
    ];
    for (event, texts) in cases {
        let line = ran.stderr.lines().find(|line| line.contains(&format!("event={event} ")));
        let line = line.unwrap_or_else(|| panic!("{event}: {}", ran.stderr));
        for text in texts {
            assert!(line.contains(text), "{text}: {line}");
        }
        for other in [&clean, &again] {
            assert!(!other.stderr.contains(event), "{event}: {}", other.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_file_in_use_is_explained() {
    let Some(world) = World::start(&["data"]).await else { return };
    let swap = world.subvolume("data").join("swap file");
    let file = fs::File::create(&swap).unwrap();
    set_flags(&file, IFlags::NOCOW);
    std::io::Write::write_all(&mut &file, &vec![0; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR).unwrap();
    assert!(Command::new("mkswap").arg(&swap).output().unwrap().status.success());
    let on = Command::new("swapon").arg(&swap).output().unwrap();
    if !on.status.success() {
        println!("NOT RUN: swapon is refused: {}", String::from_utf8_lossy(&on.stderr));
        return;
    }

    let ran = world.run(&["backup", "--once"]).await;

    assert!(Command::new("swapoff").arg(&swap).status().unwrap().success());
    ran.failed_with(
        1,
        &["Text file busy", "the kernel makes no snapshot of a subvolume with a swap file in use"],
    );
}

fn set_flags(file: &fs::File, flag: IFlags) {
    let flags = rustix::fs::ioctl_getflags(file).expect("flags");
    rustix::fs::ioctl_setflags(file, flags | flag).expect("flags");
}
