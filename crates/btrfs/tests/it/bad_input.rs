//! Bad input gets one clear line and the right exit code, and leaves nothing behind.

use std::fs;

use s3up_devstore::Options;
use s3up_testkit::{BtrfsFs, set_read_only};

use crate::fixture::{World, names_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_subvolume_is_refused_before_any_snapshot_is_made() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::create_dir(world.fs.path().join("folder")).unwrap();
    let other = BtrfsFs::create(256 << 20);
    let elsewhere = other.subvolume("elsewhere");
    let data = world.subvolume("data");
    let outside = s3up_testkit::temp_dir();
    #[rustfmt::skip]
    let cases = [
        (world.fs.path().join("folder"), vec!["is a directory, not a subvolume"]),
        (world.fs.path().join("missing"), vec!["No such file or directory"]),
        (outside.path().to_owned(),       vec!["not on btrfs"]),
        (elsewhere,                       vec!["is on another filesystem than `snapshots.base_dir`"]),
    ];
    for (path, texts) in cases {
        world.configure(&format!("paths = [{data:?}, {path:?}]"), "");

        let ran = world.run(&["backup", "--once"]).await;

        ran.failed_with(2, &[&texts[..], &[path.to_str().unwrap()]].concat());
        assert_eq!(world.snapshots(), Vec::<String>::new());
        assert_eq!(world.keys().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clashing_or_missing_name_is_refused_with_a_hint() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    world.configure(&format!("paths = [{data:?}, \"/mnt/data\"]"), "");
    let ran = world.run(&["backup", "--once"]).await;
    ran.failed_with(
        2,
        &["config.toml:9: subvolumes.paths[1]", "the name \"data\" is already used for", "name = "],
    );
    world.configure("paths = [\"/\"]", "");
    let ran = world.run(&["backup", "--once"]).await;
    ran.failed_with(2, &["subvolumes.paths[0]", "give it a name"]);
    world.configure(&format!("paths = [{{ path = {data:?}, name = \"my data\" }}]"), "");
    world.backup().await;
    assert!(world.read("nas/subvol/my data/current.json").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_base_dir_is_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("/snapshots\"", "/no-such\"");
    let ran = world.run(&["backup", "--once"]).await;
    ran.failed_with(2, &["snapshots.base_dir", "no-such"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_access_is_a_failure_and_never_a_skip() {
    let Some(world) = World::start(&["data"]).await else { return };
    let none = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    for arguments in [
        vec!["backup", "--once"],
        vec![
            "restore",
            "--subvolume",
            "data",
            "--target",
            world.fs.path().join("r").to_str().unwrap(),
        ],
    ] {
        let mut without = world.command(&arguments);
        for name in none {
            without.env_remove(name);
        }
        without.env("HOME", "/no/such").env("AWS_EC2_METADATA_DISABLED", "true");
        let wrong_secret = {
            let mut command = world.command(&arguments);
            command.env("AWS_SECRET_ACCESS_KEY", "not-the-secret");
            command
        };
        for (mut command, text) in
            [(without, "no credentials"), (wrong_secret, "does not accept these credentials")]
        {
            let output = command.output().await.unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains(text), "{stderr}");
            assert!(
                !stderr.contains(Options::SECRET_ACCESS_KEY) && !stderr.contains("not-the-secret")
            );
        }
    }
    world.reconfigure("bucket = \"backups\"", "bucket = \"no-such-bucket\"");
    world.run(&["backup", "--once"]).await.failed_with(1, &["no such bucket", "`s3.bucket`"]);
    world.reconfigure("region = \"us-east-1\"", "region = \"eu-west-9\"");
    world.reconfigure("no-such-bucket", "backups");
    world.run(&["backup", "--once"]).await.failed_with(1, &["region"]);
    assert_eq!(world.snapshots(), Vec::<String>::new());
    assert_eq!(names_in(world.fs.path()), ["data", "snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_target_is_refused_before_anything_is_downloaded() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let outside = s3up_testkit::temp_dir();
    fs::write(world.fs.path().join("file"), "mine").unwrap();
    std::os::unix::fs::symlink("/no/such", world.fs.path().join("link")).unwrap();
    set_read_only(&world.fs.subvolume("closed"), true);
    #[rustfmt::skip]
    let cases = [
        (world.subvolume("data"),                 "exists; choose another path"),
        (world.fs.path().join("closed/new"),      "Read-only file system"),
        (world.fs.path().join("file"),            "exists"),
        (world.fs.path().join("link"),            "exists"),
        (outside.path().join("new"),              "not on btrfs"),
        (world.fs.path().join("no/such/folder"),  "No such file or directory"),
        ("relative".into(),                       "expected an absolute path"),
    ];
    let reads = world.s3.faults().calls(s3up_devstore::Op::GetObject);
    for (target, text) in cases {
        world.restore("data", &target).await.failed_with(2, &[text]);
        let target = target.to_str().unwrap();
        let preview = ["restore", "--dry-run", "--subvolume", "data", "--target", target];
        world.run(&preview).await.failed_with(2, &[text]);
    }
    assert_eq!(world.s3.faults().calls(s3up_devstore::Op::GetObject), reads);
    assert_eq!(names_in(world.fs.path()), ["closed", "data", "file", "link", "snapshots"]);
    assert_eq!(fs::read_to_string(world.fs.path().join("file")).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subvolume_without_backups_is_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    let target = world.fs.path().join("restored");
    world.restore("data", &target).await.failed_with(
        1,
        &["no backup of subvolume data is published", "no backups below the prefix nas/"],
    );
    let ran = world.run(&["backup", "--once", "--subvolume", "dta"]).await;
    ran.failed_with(2, &["subvolume \"dta\" is not in the configuration; expected one of data"]);
    world.backup().await;
    world.restore("Data", &target).await.failed_with(1, &["there are backups of data"]);
    let target = target.to_str().unwrap();
    let other =
        ["restore", "--subvolume", "data", "--target", target, "--manifest-key", "nas/none.json"];
    world.run(&other).await.failed_with(1, &["manifest nas/none.json is missing in the bucket"]);
    world.delete("nas/subvol/data/current.json").await;
    let ran = world.run(&["restore", "--subvolume", "data", "--target", target]).await;
    ran.failed_with(1, &["there is one backup, from 20", "`--at TIME`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_config_shows_the_effective_configuration_without_a_bucket() {
    let Some(world) = World::start(&["data"]).await else { return };
    let ran = world.run(&["check-config"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("# 11 MiB"), "{}", ran.stdout);
    assert!(ran.stdout.contains("name = \"data\""), "{}", ran.stdout);
}
