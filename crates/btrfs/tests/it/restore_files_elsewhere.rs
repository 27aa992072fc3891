//! `restore --path` to filesystems other than btrfs: with everything (ext4, xfs), and without links,
//! owners, modes and attributes (exFAT).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use s3up_testkit::{OtherFs, OtherKind, Tree, differences, dir, file, noise, observe, symlink};

use crate::fixture::{CHUNK, Ran, World, names_in};

async fn restore(world: &World, target: &Path, arguments: &[&str]) -> Ran {
    let target = target.to_str().expect("a target in UTF-8");
    world.run(&[&["restore", "--subvolume", "data", "--target", target], arguments].concat()).await
}

/// A tree with everything that both filesystems have: links, holes, owners, ACLs and attributes.
async fn with_everything(kind: OtherKind) {
    let Some(fs) = OtherFs::create_or_skip(kind) else { return };
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let acl: [u8; 44] = [
        2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255,
        255, 255, 16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
    ];
    Tree::new([
        dir("a").mode(0o2750).owner(1000, 1001).xattr("user.d", "v"),
        file("a/plain", noise(300_000)).mode(0o4751).owner(7, 8).mtime(5, 6).xattr("user.a", "b"),
        s3up_testkit::hard_link("a/second name", "a/plain"),
        file("a/acl", "").mode(0o754).xattr("system.posix_acl_access", acl),
        dir("inherits").xattr("system.posix_acl_default", acl),
        file("a/capability", "").xattr(
            "security.capability",
            [1_u8, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        s3up_testkit::sparse("holes", 50 << 20, &[(30 << 20, b"in the middle")]),
        symlink("link", "/etc/passwd").owner(3, 4).mtime(9, 10),
        s3up_testkit::fifo("fifo").mode(0o620),
        s3up_testkit::char_device("null", 1, 3).owner(5, 6),
        file(b"\xff\xfe", "bytes"),
    ])
    .write(&data);
    world.backup().await;
    fs::rename(data.join("a"), data.join("b")).expect("a renamed directory");
    fs::rename(data.join("b/acl"), data.join("moved")).expect("a renamed file");
    world.backup().await;

    let paths = fs.path().join("paths");
    let restored = restore(&world, &paths, &["--path", "/"]).await;
    let whole = fs.path().join("whole");
    let all = restore(&world, &whole, &[]).await;

    for (ran, target) in [(restored, paths), (all, whole)] {
        assert_eq!(ran.code, Some(0), "{kind:?}: {}", ran.stderr);
        let mut found = differences(&observe(&data), &observe(&target));
        // xfs shows ACLs as these attributes, too.
        found.retain(|line| !line.contains("xattr trusted.SGI_ACL_"));
        assert_eq!(found, Vec::<String>::new(), "{kind:?}");
        let blocks = fs::metadata(target.join("holes")).expect("a file").blocks();
        assert!(blocks * 512 < 1 << 20, "{kind:?}: {blocks} blocks");
    }
    let names = names_in(fs.path());
    assert!(!names.iter().any(|name| name.contains("btrfs-to-s3")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_restored_to_ext4() {
    with_everything(OtherKind::Ext4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_restored_to_xfs() {
    with_everything(OtherKind::Xfs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filesystem_without_links_and_modes_gets_every_file_that_it_can_have() {
    let Some(exfat) = OtherFs::create_or_skip(OtherKind::Exfat) else { return };
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    Tree::new([
        file("docs/one", noise(200_000)).mtime(1_700_000_001, 5),
        file("docs/two", noise(CHUNK)).mtime(1_700_000_002, 0),
        file("shared", noise(70_000)),
        s3up_testkit::hard_link("docs/also shared", "shared"),
        s3up_testkit::sparse("holes", 3 << 20, &[(2 << 20, b"in the middle")]),
        symlink("link", "docs"),
        file("not: a name", "on exFAT"),
    ])
    .write(&data);
    world.backup().await;
    // The stream gives each of them another name, and then takes the first one.
    fs::rename(data.join("docs/one"), data.join("docs/renamed")).unwrap();
    fs::rename(data.join("docs"), data.join("papers")).unwrap();
    world.backup().await;
    let target = exfat.path().join("restored");

    let restored = restore(&world, &target, &["--path", "/"]).await;

    assert_eq!(restored.code, Some(3), "{}", restored.stderr);
    let same = |name: &str| {
        let content = fs::read(target.join(name)).unwrap();
        assert!(content == fs::read(data.join(name)).unwrap(), "{name}");
    };
    ["papers/renamed", "papers/two", "papers/also shared", "shared", "holes"]
        .into_iter()
        .for_each(same);
    assert_eq!(fs::metadata(target.join("papers/renamed")).unwrap().mtime(), 1_700_000_001);
    assert_eq!(names_in(&target), ["holes", "papers", "shared"], "no staging directory is left");
    for text in [
        "what=\"hard link\" count=1",
        "event=file_not_restored path=link",
        "event=file_not_restored path=\"not: a name\"",
        "failed=2",
    ] {
        assert!(restored.stderr.contains(text), "{text} is not in {}", restored.stderr);
    }
    // The same command skips what is there, although times are cut to seconds and the staging
    // directory of a killed restore has not the mode that it was made with.
    fs::create_dir(target.join(".btrfs-to-s3-restore-files")).unwrap();
    let mode =
        fs::metadata(target.join(".btrfs-to-s3-restore-files")).unwrap().permissions().mode();
    assert_ne!(mode & 0o077, 0, "exFAT has modes here");
    fs::remove_file(target.join("papers/two")).unwrap();
    let again = restore(&world, &target, &["--path", "papers"]).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stderr.contains("skipped=2"), "{}", again.stderr);
    ["papers/renamed", "papers/two", "papers/also shared"].into_iter().for_each(same);
    let replaced = restore(&world, &target, &["--path", "papers", "--overwrite"]).await;
    assert!(replaced.stderr.contains("restored 3 files"), "{}", replaced.stderr);
    ["papers/renamed", "papers/two", "papers/also shared", "shared"].into_iter().for_each(same);
}
