//! `--set` and `--log-level` change the configuration of one run.

use std::process::Stdio;

use tokio::process::Command;

use crate::fixture::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_set_for_one_run_before_and_after_the_command() {
    let Some(world) = World::start(&["data"]).await else { return };
    let run = [
        "--set",
        "s3.chunk_size_bytes=7340032",
        "check-config",
        "--set=s3.concurrency=9",
        "--set",
        "s3.prefix=other",
    ];

    let set = world.run(&run).await;
    let plain = world.run(&["check-config"]).await;

    assert_eq!(set.code, Some(0), "{}", set.stderr);
    for line in ["chunk_size_bytes = 7340032", "concurrency = 9", "prefix = \"other/\""] {
        assert!(set.stdout.contains(line), "{}", set.stdout);
        assert!(!plain.stdout.contains(line), "{}", plain.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    #[rustfmt::skip]
    let cases = [
        ("s3.concurency=1",      "--set s3.concurency: unknown key, did you mean `concurrency`?"),
        ("s3.concurrency=0",     "--set s3.concurrency: expected 1 to 256, found 0"),
        ("shcedule.run_at=1:00", "--set shcedule: unknown key, did you mean `schedule`?"),
        ("schedule.run_at=late", "--set schedule.run_at: expected a time like 02:00, found \"late\""),
        ("s3.bucket",            "--set: expected section.key=value, for example s3.concurrency=8"),
    ];
    for (setting, want) in cases {
        for command in ["check-config", "plan", "backup"] {
            let ran = world.run(&[command, "--set", setting]).await;
            ran.failed_with(2, &[want]);
        }
    }
    assert_eq!(world.snapshots(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_reaches_the_run() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;

    let ran = world.run(&["backup", "--once", "--set", "s3.prefix=other"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(world.read("other/subvol/data/current.json").await.is_some());
    assert_eq!(world.newest("data").await.1["kind"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_the_log_is_an_argument_and_a_key() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    for (arguments, has_debug) in [
        (vec!["plan"], false),
        (vec!["plan", "--log-level", "debug"], true),
        (vec!["plan", "--set", "global.log_level=debug"], true),
        (vec!["--log-level", "info", "plan", "--set", "global.log_level=debug"], false),
    ] {
        let ran = world.run(&arguments).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("level=debug"), has_debug, "{arguments:?} {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_without_a_target_uses_the_configured_directory() {
    let Some(world) = World::start(&["data"]).await else { return };
    std::fs::write(world.subvolume("data").join("file"), "text").unwrap();
    world.backup().await;
    let directory = world.fs.path().join("restored");
    std::fs::create_dir(&directory).unwrap();
    let setting = format!("restore.target_base_dir={:?}", directory.to_str().unwrap());
    let arguments = ["restore", "--subvolume", "data"];

    let nowhere = world.run(&arguments).await;
    let ran = world.run(&[&arguments[..], &["--set", &setting]].concat()).await;

    nowhere.failed_with(2, &["no target: pass --target", "restore.target_base_dir"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    s3up_testkit::assert_same_tree(&world.subvolume("data"), &directory.join("data"));
}

/// Runs a command that logs a line and fails, on a terminal with these variables, and returns what
/// the terminal shows.
async fn on_terminal(world: &World, variables: [(&str, &str); 2]) -> String {
    let line =
        format!("'{}' --config {:?} drill", env!("CARGO_BIN_EXE_btrfs-to-s3"), world.config());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).envs(variables);
    let shown = script.stdin(Stdio::null()).output().await.expect("a terminal");
    assert_eq!(shown.status.code(), Some(2), "{shown:?}");
    String::from_utf8(shown.stdout).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_has_colours_only_on_a_terminal_that_shows_them() {
    let Some(world) = World::start(&["data"]).await else { return };
    #[rustfmt::skip]
    let cases = [
        ([("TERM", "xterm"), ("NO_COLOR", "")],  true),
        ([("TERM", "xterm"), ("NO_COLOR", "1")], false),
        ([("TERM", "dumb"),  ("NO_COLOR", "")],  false),
    ];
    for (variables, has_colours) in cases {
        let shown = on_terminal(&world, variables).await;
        assert!(shown.contains("command start"), "{shown}");
        assert_eq!(shown.contains("\u{1b}["), has_colours, "{variables:?}: {shown}");
    }
}
