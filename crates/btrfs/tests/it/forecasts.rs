//! The forecast of what will be sent, held against what was sent.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use rustix::fs::FallocateFlags;
use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn, noise};
use serde_json::Value;

use crate::fixture::{Ran, World, names_in};

/// Promised accuracy of a forecast.
const PERCENT: u64 = 2;
const TEMPORARY: &str = ".btrfs-to-s3-forecast-";

/// Returns the number in the field of the first line of an event.
fn number(ran: &Ran, event: &str, field: &str) -> u64 {
    let line = line(ran, event).unwrap_or_else(|| panic!("no {event} in {}", ran.stderr));
    let found = line.split(&format!(" {field}=")).nth(1).expect("the field");
    let digits: String = found.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn line<'r>(ran: &'r Ran, event: &str) -> Option<&'r str> {
    ran.stderr.lines().find(|line| line.contains(&format!("event={event} ")))
}

#[track_caller]
fn assert_near(forecast: u64, sent: u64, what: &str) {
    let off = forecast.abs_diff(sent);
    assert!(off * 100 <= sent * PERCENT, "{what}: forecast {forecast}, sent {sent}");
}

fn run(program: &str, arguments: &[&OsStr]) {
    let done = Command::new(program).args(arguments).output().expect("a program");
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

fn punch(file: &Path, offset: u64, len: u64) {
    let file = fs::OpenOptions::new().write(true).open(file).expect("a tree");
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, offset, len).expect("a tree");
}

/// One change of the tree, by its name.
type Change = (&'static str, fn(&Path));

/// Changes that other forecasts get wrong. Each becomes an incremental.
const CHANGES: [Change; 6] = [
    ("defragmented", |data| {
        let arguments = ["filesystem", "defragment", "-czstd", "-r"].map(OsStr::new);
        run("btrfs", &[&arguments[..], &[data.join("big").as_ref()]].concat());
    }),
    ("punched", |data| punch(&data.join("big"), 1 << 20, 12 << 20)),
    ("reflinked", |data| {
        let (from, to) = (data.join("big"), data.join("copy"));
        run("cp", &[OsStr::new("--reflink=always"), from.as_ref(), to.as_ref()]);
    }),
    ("renamed", |data| fs::rename(data.join("many"), data.join("moved")).expect("a tree")),
    ("chmod'ed", |data| {
        for entry in fs::read_dir(data.join("moved")).expect("a tree") {
            let path = entry.expect("a tree").path();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a tree");
        }
    }),
    ("written in part", |data| {
        let file = fs::OpenOptions::new().write(true).open(data.join("big")).expect("a tree");
        (0..40).for_each(|n| file.write_all_at(&noise(5000), n * 300_000).expect("a tree"));
    }),
];

fn make_tree(data: &Path) {
    fs::create_dir(data.join("many")).expect("a tree");
    (0..1500).for_each(|n| fs::write(data.join(format!("many/{n}")), noise(n)).expect("a tree"));
    fs::write(data.join("big"), noise(24 << 20)).expect("a tree");
    let sparse = fs::File::create(data.join("sparse")).expect("a tree");
    sparse.set_len(5 << 30).expect("a tree");
    sparse.write_all_at(&noise(100_000), 3 << 30).expect("a tree");
}

/// Forecasts by `estimate` and before the upload, and compares both with what was sent.
async fn assert_forecast(world: &World, what: &str, arguments: &[&str]) -> u64 {
    let protocol = arguments.last().copied().unwrap_or_default();
    let estimate = world.run(&["estimate", "--json", "--set", protocol]).await;
    assert_eq!(estimate.code, Some(0), "{}", estimate.stderr);
    let estimate: Value = serde_json::from_str(&estimate.stdout).expect("JSON");
    let ran = world.run(arguments).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sent = number(&ran, "backup_uploaded", "total_bytes");
    assert_near(number(&ran, "upload_forecast", "bytes"), sent, what);
    if !arguments.contains(&"--full") {
        assert_near(estimate[0]["forecast"]["bytes"].as_u64().expect("a number"), sent, what);
    }
    sent
}

async fn forecast_equals_sent(protocol: &str) -> Vec<(&'static str, u64)> {
    let Some(world) = World::start(&["data"]).await else { return Vec::new() };
    let data = world.subvolume("data");
    make_tree(&data);
    let once = ["backup", "--once", "--set", protocol];
    let mut sent = vec![("full", assert_forecast(&world, "full", &once).await)];
    for (name, change) in CHANGES {
        change(&data);
        sent.push((name, assert_forecast(&world, name, &once).await));
    }
    let full = ["backup", "--once", "--full", "--set", protocol];
    sent.push(("second full", assert_forecast(&world, "second full", &full).await));
    assert!(names_in(&world.snapshots_dir()).iter().all(|name| !name.starts_with(TEMPORARY)));
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forecast_is_what_protocol_1_sends() {
    let sent = forecast_equals_sent("send.protocol=1").await;
    let Some((_, punched)) = sent.iter().find(|(name, _)| *name == "punched") else { return };
    assert!(*punched > 12 << 20, "protocol 1 sends holes as zeros: {sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forecast_is_what_protocol_2_sends() {
    let sent = forecast_equals_sent("send.protocol=2").await;
    let of = |wanted| sent.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| *bytes);
    let Some(punched) = of("punched") else { return };
    assert!(punched < 10_000, "protocol 2 sends a hole as a hole: {sent:?}");
    assert!(of("reflinked") < Some(10_000), "{sent:?}");
    assert!(of("defragmented") > Some(20 << 20), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_forecasts_what_a_backup_then_sends() {
    let Some(world) = World::start(&["data", "other"]).await else { return };
    make_tree(&world.subvolume("data"));
    // A killed forecast left this.
    let left = world.snapshots_dir().join(format!("{TEMPORARY}999999999-data"));
    world.fs.snapshot(&world.subvolume("data"), &left);

    let plan = world.run(&["plan", "--bytes", "--json"]).await;
    let table = world.run(&["plan", "--bytes"]).await;

    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan[0]["forecast_at_most"], false);
    assert!(table.stdout.contains("\n  forecast  2"), "{}", table.stdout);
    assert_eq!(names_in(&world.snapshots_dir()), Vec::<String>::new());
    let ran = world.backup().await;
    let sent = number(&ran, "backup_uploaded", "total_bytes");
    assert_near(plan[0]["forecast_bytes"].as_u64().unwrap(), sent, "plan");
    let second = world.backup().await;
    assert!(line(&second, "upload_forecast").is_some(), "{}", second.stderr);
    let not_due = world.run(&["plan", "--bytes", "--json"]).await;
    let not_due: Value = serde_json::from_str(&not_due.stdout).unwrap();
    assert_eq!(not_due[0]["forecast_bytes"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forecast_of_compressed_data_is_a_limit() {
    let Some(world) = World::start_mounted("noatime,compress=zstd", &["data"]).await else {
        return;
    };
    fs::write(world.subvolume("data").join("zeros"), vec![b'z'; 16 << 20]).unwrap();

    let ran = world.run(&["backup", "--once", "--set", "send.compressed=always"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let forecast = line(&ran, "upload_forecast").expect("a forecast");
    assert!(forecast.contains("at_most=true") && forecast.contains("send at most 1"), "{forecast}");
    let sent = number(&ran, "backup_uploaded", "total_bytes");
    assert!(sent < number(&ran, "upload_forecast", "bytes") / 4, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_will_be_sent_many_times_is_told_before_the_upload() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let one = data.join("one");
    fs::write(&one, noise(64 << 10)).unwrap();
    let source = fs::File::open(&one).unwrap();
    source.sync_all().unwrap();
    for n in 0..1300 {
        let copy = fs::File::create(data.join(n.to_string())).unwrap();
        rustix::fs::ioctl_ficlone(&copy, &source).unwrap();
    }

    let ran = world.backup().await;

    let told = line(&ran, "forecast_exceeds_disk").unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(told.contains("level=warn") && told.contains("1,024 references"), "{told}");
    assert!(number(&ran, "forecast_exceeds_disk", "bytes") > 1300 * (64 << 10), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_that_fails_fails_no_backup() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "x").unwrap();
    #[rustfmt::skip]
    let cases = [
        (BtrfsFault::FailsAfter { bytes: 0 },    StandIn::ERROR_MESSAGE),
        (BtrfsFault::CutsAfter { bytes: 60 },    "not a sound stream"),
        (BtrfsFault::FlipsByteAt { offset: 60 }, "expected CRC32C"),
    ];
    for (fault, text) in cases {
        let fault = InjectedFault { command: "forecast", call: Calls::Every, fault };
        let stand_in = StandIn::new([fault]);
        world.path = Some(stand_in.path_var());

        let ran = world.run(&["backup", "--once"]).await;
        let estimate = world.run(&["estimate"]).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let failed = line(&ran, "upload_forecast_failed").unwrap_or_else(|| panic!("{ran:?}"));
        assert!(failed.contains(text), "{failed}");
        estimate.failed_with(3, &["cannot forecast what data would send"]);
        stand_in.assert_no_process_left();
        assert!(names_in(&world.snapshots_dir()).iter().all(|name| !name.starts_with(TEMPORARY)));
    }
}
