//! `plan`, `prune`, `thaw` and `restore` print what they cost, and refuse what costs more than
//! `--max-cost`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use s3up_devstore::Op;
use s3up_testkit::golden::{Redactions, assert_golden};
use s3up_testkit::noise;
use serde_json::Value;

use crate::fixture::{CHUNK, Ran, World};
use crate::prunes::OFF;

const HOUR: Duration = Duration::from_secs(3600);
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/output");
/// A gibibyte is so expensive that some megabytes cost dollars.
const PRICES: &str = "[prices]\nsource = \"Example, 2026\"\ntransfer_gib = 100.0\nget_1000 = 1.0\n\
                      put_1000 = 10.0\n[prices.classes.STANDARD]\ngib_month = 20.0\nput_1000 = 10.0\n\
                      read_gib = 0.0\n[prices.classes.GLACIER]\ngib_month = 10.0\nput_1000 = 100.0\n\
                      read_gib = 0.0\nthaw_standard_gib = 50.0\nthaw_standard_1000 = 100.0\n\
                      thaw_bulk_gib = 5.0\nthaw_bulk_1000 = 10.0\n";

/// A world with prices, whose chunks are archived, and a subvolume of two chunks.
async fn priced() -> Option<World> {
    let world = World::start(&["data"]).await?;
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    let text = fs::read_to_string(world.config()).expect("the configuration");
    fs::write(world.config(), format!("{text}\n{PRICES}")).expect("a written file");
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 1000)).expect("a written file");
    world.s3.set_restore_delay(5 * HOUR);
    Some(world)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {ran:?}"))
}

fn is_about(found: &Value, want: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - want).abs() < want * 0.05)
}

/// Compares what a command prints with a golden file. Sizes vary by some bytes, and so do costs by less
/// than a cent.
fn assert_prints(world: &World, name: &str, ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let redactions =
        Redactions::new().sizes().text("[MOUNT]", world.fs.path().display().to_string());
    assert_golden(&Path::new(GOLDEN).join(format!("{name}.txt")), &ran.stdout, &redactions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_its_backups_cost_and_refuses_more() {
    let Some(world) = priced().await else { return };

    let plan = world.run(&["plan", "--bytes"]).await;
    let lines = json(&world.run(&["plan", "--bytes", "--json"]).await);
    let dear = world.run(&["plan", "--bytes", "--max-cost", "0.10"]).await;
    let cheap = world.run(&["plan", "--bytes", "--max-cost", "5"]).await;

    assert_prints(&world, "plan-cost", &plan);
    let gib = (CHUNK + 1000) as f64 / f64::from(1 << 30);
    let cost = &lines[0]["cost"];
    // Three parts, two chunks; 90 days at least.
    assert!(is_about(&cost["requests"], 0.03 + 0.2), "{cost}");
    assert!(is_about(&cost["month"], gib * 10.0), "{cost}");
    assert!(is_about(&cost["minimum"], gib * 30.0), "{cost}");
    assert_eq!((&cost["minimum_days"], &cost["prices"]), (&90.into(), &"Example, 2026".into()));
    dear.failed_with(1, &["--max-cost: expected a cost of at most $0.10, found $0."]);
    assert_eq!(cheap.code, Some(0), "{}", cheap.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_and_a_thaw_say_what_they_cost_and_request_nothing_beyond_the_limit() {
    let Some(world) = priced().await else { return };
    world.backup().await;
    let target = world.fs.path().join("restored").display().to_string();
    let restore = ["restore", "--subvolume", "data", "--target", &target];
    let thaw = ["thaw", "--subvolume", "data", "--no-wait-restore"];
    let requests = || world.s3.faults().calls(Op::RestoreObject);
    let with = |command: &[&'static str], more: &[&'static str]| [command, more].concat();

    let preview = world.run(&[&restore[..], &["--dry-run"]].concat()).await;
    let line = json(&world.run(&[&restore[..], &["--dry-run", "--json"]].concat()).await);
    let limits: [&[&str]; 2] = [&["--max-cost", "1"], &["--max-cost", "1", "--dry-run"]];
    for limit in limits {
        let dear = world.run(&[&restore[..], limit].concat()).await;
        dear.failed_with(1, &["--max-cost: expected a cost of at most $1.00, found $"]);
    }
    let dear = world.run(&with(&thaw, &["--max-cost", "0.5"])).await;
    dear.failed_with(1, &["--max-cost: expected a cost of at most $0.50, found $"]);
    assert_eq!(requests(), 0);
    let thawed = world.run(&with(&thaw, &["--max-cost", "2", "--json"])).await;
    let again = world.run(&with(&thaw, &["--max-cost", "0", "--json"])).await;

    assert_prints(&world, "restore-cost", &preview);
    let gib = (CHUNK + 1000) as f64 / f64::from(1 << 30);
    let [standard, bulk] = ["standard", "bulk"].map(|tier| &line["cost"][tier]);
    assert!(is_about(&standard["thaw"], gib * 50.0 + 0.2), "{standard}");
    assert!(is_about(&standard["copies"], gib * 20.0 * 14.0 / 30.0), "{standard}");
    assert!(is_about(&standard["download"], gib * 100.0 + 0.003), "{standard}");
    assert!(is_about(&bulk["thaw"], gib * 5.0 + 0.02), "{bulk}");
    assert_eq!(thawed.code, Some(4), "{}", thawed.stderr);
    let cost = &json(&thawed)["cost"];
    assert!(is_about(&cost["thaw"], gib * 50.0 + 0.2), "{cost}");
    assert_eq!(cost["hours"], 5);
    // What is in progress is not paid twice.
    assert_eq!(again.code, Some(4), "{}", again.stderr);
    assert_eq!((requests(), &json(&again)["cost"]), (2, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_says_what_it_saves_and_deletes_nothing_beyond_the_limit() {
    let Some(world) = priced().await else { return };
    for kind in ["--full", "--once", "--full", "--once"] {
        let ran = world.run(&["backup", kind, "--set", OFF]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let young = ["--set", "retention.min_age_days=0"];
    let prune = |more: &[&'static str]| [&["prune"], &young[..], more].concat();
    let before = world.keys().await;

    let plan = world.run(&prune(&["--dry-run"])).await;
    let lines = json(&world.run(&prune(&["--dry-run", "--json"])).await);
    let dear = world.run(&prune(&["--max-cost", "0.10"])).await;

    assert_prints(&world, "prune-cost", &plan);
    let gib = (CHUNK + 1000) as f64 / f64::from(1 << 30);
    let cost = &lines[0]["cost"];
    assert!(is_about(&cost["saved_month"], gib * 10.0), "{cost}");
    assert!(is_about(&cost["early_deletion"], gib * 30.0), "{cost}");
    dear.failed_with(1, &["--max-cost: expected a cost of at most $0.10, found $0.3"]);
    assert_eq!(world.keys().await, before);
    let pruned = world.run(&prune(&["--max-cost", "1"])).await;
    assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
    assert!(world.keys().await.len() < before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_without_prices_is_refused() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let target = world.fs.path().join("restored").display().to_string();
    let commands: [&[&str]; 4] = [
        &["plan", "--bytes"],
        &["prune"],
        &["thaw", "--subvolume", "data"],
        &["restore", "--subvolume", "data", "--target", &target],
    ];
    for command in commands {
        let ran = world.run(&[command, &["--max-cost", "5"]].concat()).await;
        ran.failed_with(2, &["--max-cost: no prices are known for this server; set all keys of"]);
    }
    assert!(!Path::new(&target).exists());
}
