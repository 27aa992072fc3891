//! `init` writes a configuration, and checks it on the host and with the server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use s3up_testkit::golden::{Redactions, assert_golden};

use crate::fixture::{Ran, World};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/output/init.toml");

fn file(world: &World) -> PathBuf {
    world.config().with_file_name("new.toml")
}

/// Runs `init` with these options besides the file.
async fn init(world: &World, options: &[&str]) -> Ran {
    let file = file(world);
    let arguments = ["init", "--config", file.to_str().expect("UTF-8")];
    world.run(&[&arguments[..], options].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_that_init_writes_backs_up() {
    let Some(world) = World::start(&["data"]).await else { return };
    let (data, endpoint) = (world.subvolume("data"), world.s3.endpoint());
    let options = [
        "--subvolume",
        data.to_str().unwrap(),
        "--endpoint",
        &endpoint,
        "--bucket",
        "backups",
        "--prefix",
        "first/",
    ];

    let written = init(&world, &options).await;

    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let file = file(&world);
    let name = file.to_str().unwrap();
    let lines = [
        format!("wrote {name}\n"),
        "CAPABILITY".to_owned(),
        format!("next:\n  btrfs-to-s3 --config {name} backup --once\n"),
    ];
    for line in lines {
        assert!(written.stdout.contains(&line), "{line:?}: {}", written.stdout);
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let redactions = Redactions::new()
        .text("[MOUNT]", world.fs.path().display().to_string())
        .text("[ENDPOINT]", endpoint.clone());
    assert_golden(Path::new(GOLDEN), &fs::read_to_string(&file).unwrap(), &redactions);
    let state = format!("global.state_path={:?}", world.state());
    let lock = format!("global.lock_path={:?}", world.lock());
    let set = ["--config", name, "--set", &state, "--set", &lock];
    let backup = world.run(&[&["backup", "--once"], &set[..]].concat()).await;
    assert_eq!(backup.code, Some(0), "{}", backup.stderr);
    let keys = world.all_keys().await;
    assert!(keys.contains(&"first/subvol/data/current.json".to_owned()), "{keys:?}");

    let text = fs::read_to_string(&file).unwrap();
    let again = init(&world, &options).await;

    again.failed_with(1, &["the file exists, and init overwrites nothing"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_only_a_valid_file_is_written() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data").display().to_string();
    let endpoint = world.s3.endpoint();
    let plain = world.fs.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let plain = plain.to_str().unwrap();
    #[rustfmt::skip]
    let cases: [(&[&str], i32, &str, bool); 5] = [
        // options                                                                        code  says                          written
        (&["--subvolume", &data],                                                         2,    "--bucket: expected a value", false),
        (&["--subvolume", "data", "--bucket", "b", "--region", "r"],                  2,    "subvolumes.paths[0]",        false),
        (&["--subvolume", &data, "--bucket", "b", "--region", "r", "--storage-class", "COLD"], 2, "s3.storage_class_chunks",  false),
        (&["--subvolume", &data, "--bucket", "missing", "--endpoint", &endpoint],         1,    "is written, but this check failed", true),
        (&["--subvolume", plain, "--bucket", "backups", "--endpoint", &endpoint],         1,    "expected a subvolume, found a plain directory", true),
    ];
    for (options, code, says, is_written) in cases {
        let ran = init(&world, options).await;

        ran.failed_with(code, &[says]);
        assert_eq!(file(&world).exists(), is_written, "{options:?}");
        fs::remove_file(file(&world)).ok();
    }
}
