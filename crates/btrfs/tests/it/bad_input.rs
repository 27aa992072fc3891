//! Bad input gets one clear line and the right exit code, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use s3up_devstore::Options;
use s3up_testkit::{BtrfsFs, set_read_only};

use crate::fixture::{World, names_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_subvolume_fails_alone_and_is_a_problem() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::create_dir(world.fs.path().join("folder")).unwrap();
    let other = BtrfsFs::create(256 << 20);
    let elsewhere = other.subvolume("elsewhere");
    let data = world.subvolume("data");
    let outside = s3up_testkit::temp_dir();
    #[rustfmt::skip]
    let cases = [
        (world.fs.path().join("folder"), "expected a subvolume, found a plain directory"),
        (world.fs.path().join("missing"), "No such file or directory"),
        (outside.path().to_owned(),       "expected a directory on btrfs, found one on"),
        (elsewhere,                       "expected the filesystem of `snapshots.base_dir`"),
    ];
    for (path, text) in cases {
        // Alone, it is an error of the configuration, and nothing is done.
        let only = format!("paths = [{{ path = {path:?}, name = \"bad\" }}]");
        world.configure(&only, "");
        let before = (world.snapshots(), world.keys().await);
        let alone = world.run(&["backup", "--once"]).await;
        alone.failed_with(2, &[text, path.to_str().unwrap()]);
        assert_eq!((world.snapshots(), world.keys().await), before);
        let check = world.run(&["status", "--check"]).await;
        assert!(check.stdout.contains("last run failed: "), "{}", check.stdout);
        let both = format!("paths = [{data:?}, {{ path = {path:?}, name = \"bad\" }}]");
        world.configure(&both, "");

        let ran = world.run(&["backup", "--once"]).await;
        let plan = world.run(&["plan", "--json"]).await;
        let not_due = world.run(&["backup"]).await;
        let check = world.run(&["status", "--check"]).await;

        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
        assert!(ran.stderr.contains("event=backup_uploaded subvolume=data"), "{}", ran.stderr);
        assert!(!world.keys().await.iter().any(|key| key.contains("/bad/")));
        assert_eq!((plan.code, not_due.code), (Some(3), Some(3)), "{}", plan.stderr);
        assert_eq!(check.code, Some(1), "{}", check.stdout);
        let says = "PROBLEM: bad: never backed up, last run failed: ";
        assert!(check.stdout.starts_with(says) && check.stdout.contains(text), "{}", check.stdout);
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
async fn a_missing_base_dir_is_created_where_its_parent_is_on_the_filesystem() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("/snapshots\"", "/new/deep\"");
    let ran = world.run(&["backup", "--once"]).await;
    ran.failed_with(2, &["snapshots.base_dir", "/new/deep"]);
    world.reconfigure("/new/deep\"", "/new\"");
    let new = world.fs.path().join("new");

    let plan = world.run(&["plan"]).await;
    let is_planned_only = !new.exists();
    let ran = world.backup().await;

    assert_eq!((plan.code, is_planned_only), (Some(0), true), "{}", plan.stderr);
    assert!(ran.stderr.contains("event=base_dir_created"), "{}", ran.stderr);
    assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names_in(&new).len(), 2, "the snapshot and the records");
}

/// Two configurations may share a snapshot directory and start in the same second.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_name_that_is_taken_is_left_to_its_owner() {
    let Some(world) = World::start(&["data"]).await else { return };
    let other = ["--set", "s3.prefix=\"other\"", "--set", "retention.prune=off"];
    let paths = ["lock", "state.json"].map(|name| world.fs.path().join(name));
    let lock = format!("global.lock_path={:?}", paths[0]);
    let state = format!("global.state_path={:?}", paths[1]);
    for round in 1..=5 {
        let second = [&["backup", "--once", "--set", &lock, "--set", &state][..], &other].concat();

        let (one, two) =
            tokio::join!(world.run(&["backup", "--once", "--set", "snapshots.retain=9"]), async {
                world.run(&[&second[..], &["--set", "snapshots.retain=9"]].concat()).await
            });

        for ran in [one, two] {
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
        assert_eq!(world.snapshots().len(), 2 * round);
        assert_eq!(world.records(), world.snapshots());
    }
    assert_eq!(world.run(&["verify"]).await.code, Some(0));
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
        // The address of the metadata is not asked, because there is an endpoint.
        without.env("HOME", "/no/such").env_remove("AWS_EC2_METADATA_DISABLED");
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
            assert_eq!(stderr.matches("level=warn").count(), 0, "one error: {stderr}");
            assert!(
                !stderr.contains(Options::SECRET_ACCESS_KEY) && !stderr.contains("not-the-secret")
            );
        }
    }
    world.reconfigure("bucket = \"backups\"", "bucket = \"no-such-bucket\"");
    world.run(&["backup", "--once"]).await.failed_with(1, &["no such bucket", "`bucket`"]);
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
    fs::write(world.fs.path().join("file"), "mine").unwrap();
    std::os::unix::fs::symlink("/no/such", world.fs.path().join("link")).unwrap();
    set_read_only(&world.fs.subvolume("closed"), true);
    #[rustfmt::skip]
    let cases = [
        (world.subvolume("data"),                 "exists; choose another path"),
        (world.fs.path().join("closed/new"),      "Read-only file system"),
        (world.fs.path().join("file"),            "exists"),
        (world.fs.path().join("link"),            "exists"),
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
