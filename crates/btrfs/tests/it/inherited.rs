//! New files inherit a default ACL and the property `compression` from the root of a subvolume,
//! also while it is restored. Files that did not have them at the source must not get them.

use std::fs;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};
use s3up_testkit::{BtrfsFs, Tree, assert_same_tree, dir, file};

use crate::fixture::World;

const DEFAULT_ACL: &str = "system.posix_acl_default";
const COMPRESSION: &str = "btrfs.compression";

/// Returns an ACL that lets one more user write, as the kernel encodes it: acl(5).
fn acl(uid: u32) -> Vec<u8> {
    const NO_ID: u32 = u32::MAX;
    let entry = |tag: u16, rights: u16, id: u32| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let entries = [
        entry(1, 7, NO_ID),
        entry(2, 7, uid),
        entry(4, 5, NO_ID),
        entry(16, 7, NO_ID),
        entry(32, 5, NO_ID),
    ];
    [&2u32.to_le_bytes()[..], &entries.concat()].concat()
}

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).expect("an attribute");
}

fn has(path: &Path, name: &str) -> bool {
    lgetxattr(path, name, &mut [0; 1024]).is_ok()
}

/// Makes a full and three incrementals. The root passes on an ACL and compression to new files,
/// but older files have neither.
async fn four_backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    let data = world.subvolume("data");
    Tree::new([file("old", "old"), file("folder/inside", "old"), dir("folder/empty")]).write(&data);
    set(&data, DEFAULT_ACL, &acl(33));
    set(&data, COMPRESSION, b"zstd");
    fs::write(data.join("inherits"), "new").expect("a written file");
    world.backup().await;
    for (name, uid) in [("second", 34), ("third", 35)] {
        lremovexattr(&data, DEFAULT_ACL).expect("an attribute");
        lremovexattr(&data, COMPRESSION).expect("an attribute");
        Tree::new([file(name, name), file(format!("{name}-folder/file"), name)]).write(&data);
        set(&data, DEFAULT_ACL, &acl(uid));
        set(&data, COMPRESSION, b"lzo");
        world.backup().await;
    }
    lremovexattr(&data, COMPRESSION).expect("an attribute");
    fs::write(data.join("fourth"), "fourth").expect("a written file");
    world.backup().await;
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_get_no_rights_that_they_did_not_have() {
    let Some(world) = four_backups().await else { return };
    let data = world.subvolume("data");
    let host = BtrfsFs::create(1 << 30);

    let beside = world.restore("data", &world.fs.path().join("restored")).await;
    let elsewhere = world.restore("data", &host.path().join("restored")).await;

    assert_eq!(beside.code, Some(0), "{}", beside.stderr);
    assert!(beside.stderr.contains("mode=full"), "{}", beside.stderr);
    assert_eq!(elsewhere.code, Some(0), "{}", elsewhere.stderr);
    for target in [world.fs.path().join("restored"), host.path().join("restored")] {
        assert_same_tree(&data, &target);
        assert!(has(&target, DEFAULT_ACL) && !has(&target, COMPRESSION));
        assert!(has(&target.join("inherits"), "system.posix_acl_access"));
        assert!(!has(&target.join("old"), "system.posix_acl_access"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_earlier_backup_has_the_attributes_that_its_root_had() {
    let Some(world) = four_backups().await else { return };
    let snapshots = world.snapshots_dir();
    let kept = world.snapshots();
    let (_, newest) = world.newest("data").await;
    let mut key = newest["parent_manifest"].as_str().unwrap().to_owned();

    for n in (0..3).rev() {
        let manifest = world.json(&key).await;
        let target = world.fs.path().join(format!("restored-{n}"));
        let path = target.to_str().unwrap();
        let restore = ["restore", "--subvolume", "data", "--target", path, "--manifest-key", &key];
        let ran = world.run(&restore).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let name = manifest["snapshot"]["name"].as_str().unwrap().to_owned();
        if kept.contains(&name) {
            assert_same_tree(&snapshots.join(name), &target);
        }
        let mut value = [0; 1024];
        let length = lgetxattr(&target, DEFAULT_ACL, &mut value[..]).unwrap();
        assert_eq!(value[..length], acl(33 + n));
        assert!(has(&target, COMPRESSION));
        assert!(!has(&target.join("folder/inside"), "system.posix_acl_access"));
        key = manifest["parent_manifest"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(key, "", "the last one was the full");
}

/// The parent that a restore keeps must be what the sender has.
#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_on_the_kept_parent_restores_the_same_rights() {
    let Some(world) = four_backups().await else { return };
    let host = BtrfsFs::create(1 << 30);
    fs::create_dir(host.path().join("snapshots")).unwrap();
    let data = host.path().join("data");
    let quoted = |path: &Path| format!("{:?}", path.to_str().unwrap());
    for name in ["snapshots", "data"] {
        world.reconfigure(&quoted(&world.fs.path().join(name)), &quoted(&host.path().join(name)));
    }
    let restored = world.restore("data", &data).await;
    assert!(restored.stderr.contains("event=received_parent_stored"), "{}", restored.stderr);
    fs::write(data.join("after"), "the fire").unwrap();
    world.backup().await;
    assert_eq!(world.newest("data").await.1["kind"], "incremental");

    let third = world.restore("data", &world.fs.path().join("third")).await;

    assert_eq!(third.code, Some(0), "{}", third.stderr);
    assert_same_tree(&data, &world.fs.path().join("third"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_such_a_subvolume_is_good() {
    let Some(world) = four_backups().await else { return };
    let scratch = world.state().with_file_name("scratch");
    fs::create_dir(&scratch).unwrap();

    let ran = world.run(&["drill", "--set", &format!("drill.scratch_dir={scratch:?}")]).await;

    assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("every byte of"), "{}", ran.stdout);
}

/// A new subvolume inherits the compression of the one that it is created in.
#[tokio::test(flavor = "multi_thread")]
async fn files_do_not_inherit_from_the_target_either() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    Tree::new([file("old", "old"), file("folder/inside", "old")]).write(&data);
    world.backup().await;
    let host = BtrfsFs::create(1 << 30);
    fs::create_dir_all(host.path().join("a/b")).unwrap();
    for (name, value) in [(DEFAULT_ACL, acl(36)), (COMPRESSION, b"zstd".to_vec())] {
        set(host.path(), name, &value);
        set(&host.path().join("a/b"), name, &value);
    }
    let target = host.path().join("a/b/restored");

    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&data, &target);
}
