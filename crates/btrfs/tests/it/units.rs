//! The units in `packaging/systemd`, of all programs: systemd accepts every line, and they
//! grant a program no more than it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Maximum exposure level of each service, in tenths, from `systemd-analyze security`: the
/// cost of CAP_SYS_ADMIN, root, the network and access to the whole disk. A drill also
/// creates files of any owner, device nodes and loop devices. The agent reads files of any
/// owner, and the gateway has only the network.
const EXPOSURE_MAX: [(&str, u32); 5] = [
    ("btrfs-to-s3.service", 30),
    ("btrfs-to-s3-drill.service", 35),
    ("s3up.service", 20),
    ("s3up-drill.service", 15),
    ("s3up-server.service", 15),
];
const UNITS: [&str; 9] = [
    "btrfs-to-s3.service",
    "btrfs-to-s3.timer",
    "btrfs-to-s3-failed@.service",
    "btrfs-to-s3-drill.service",
    "btrfs-to-s3-drill.timer",
    "s3up.service",
    "s3up-drill.service",
    "s3up-drill.timer",
    "s3up-server.service",
];
/// The programs that units start. systemd only checks that such a file exists, so the tests
/// replace each of them by the one that is built with them.
const PROGRAMS: [&str; 3] = ["btrfs-to-s3", "s3up-server", "s3up"];

fn packaged() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd")
}

/// Returns copies of the units that name an existing program, since systemd checks that.
fn units(change: impl Fn(&str) -> String) -> TempDir {
    let directory = s3up_testkit::temp_dir();
    for name in UNITS {
        let text = fs::read_to_string(packaged().join(name)).expect("a unit");
        let text = PROGRAMS.iter().fold(text, |text, program| {
            let built = concat!("=", env!("CARGO_BIN_EXE_btrfs-to-s3"), " ");
            text.replace(&format!("=/usr/bin/{program} "), built)
        });
        fs::write(directory.path().join(name), change(&text)).expect("a written file");
    }
    directory
}

/// Runs `systemd-analyze`. `None` means that it is not installed, which is printed.
#[expect(clippy::print_stdout, reason = "./check counts these lines")]
fn analyze(directory: &Path, arguments: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).current_dir(directory).output() {
        Ok(output) => Some(output),
        Err(err) => {
            println!("SKIPPED: systemd-analyze cannot be run: {err}");
            None
        }
    }
}

/// Asserts that systemd accepts the units without a warning: it exits with 0 even for an
/// unknown key.
fn assert_understood(directory: &Path) -> Option<()> {
    let output = analyze(directory, &[&["verify", "--man=no"][..], &UNITS].concat())?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    Some(())
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let plain = units(str::to_owned);
    // The other way to pass credentials, as an administrator would enable it.
    let other =
        units(|text| text.replace("#LoadCredential", "LoadCredential").replace("#Env", "Env"));
    let text = fs::read_to_string(other.path().join(UNITS[0])).unwrap();
    assert!(text.contains("\nLoadCredential=") && text.contains("\nEnvironment=AWS_SHARED"));

    for directory in [&plain, &other] {
        let Some(()) = assert_understood(directory.path()) else { return };
    }

    let misspelt = units(|text| text.replace("Persistent=", "Persistant="));
    let output = analyze(misspelt.path(), &["verify", UNITS[1]]).expect("it was there");
    assert!(!output.stderr.is_empty(), "an unknown key would be reported");
}

#[test]
fn the_timer_fires_every_hour_and_makes_up_for_what_it_missed() {
    let timer = fs::read_to_string(packaged().join("btrfs-to-s3.timer")).unwrap();
    let value = |key: &str| {
        let line = timer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key}"))
    };
    assert_eq!(value("Persistent"), "true");
    assert_eq!(value("RandomizedDelaySec"), "2min");

    let Some(output) = analyze(Path::new("/"), &["calendar", value("OnCalendar")]) else { return };

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("*-*-* *:00:00 UTC"), "{said}");
}

#[test]
fn no_unit_is_without_a_test() {
    let names = fs::read_dir(packaged()).expect("the units").map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("a name in UTF-8")
    });
    let mut unknown: Vec<_> = names.filter(|name| !UNITS.contains(&name.as_str())).collect();
    unknown.sort();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn a_failure_is_reported_with_the_unit_that_failed() {
    for name in ["btrfs-to-s3.service", "btrfs-to-s3-drill.service"] {
        let text = fs::read_to_string(packaged().join(name)).unwrap();
        assert!(text.contains("\nOnFailure=btrfs-to-s3-failed@%n.service\n"), "{name}: {text}");
    }
    let report = fs::read_to_string(packaged().join("btrfs-to-s3-failed@.service")).unwrap();
    let start = report.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(start.ends_with(" sh %i %H"), "{start}");
    assert!(start.contains("--unit=\"$1\"") && start.contains("\"$1 failed on $2\""), "{start}");
}

#[test]
fn a_daemon_with_a_wrong_configuration_is_not_started_again() {
    for name in ["s3up.service", "s3up-server.service"] {
        let text = fs::read_to_string(packaged().join(name)).unwrap();
        assert!(text.contains("\nRestart=on-failure\n"), "{name}");
        assert!(text.contains("\nRestartPreventExitStatus=2\n"), "{name}");
        assert!(text.contains("\nStartLimitIntervalSec=0\n"), "{name}");
    }
}

#[test]
fn drills_are_repeated() {
    for (name, when) in [("btrfs-to-s3-drill.timer", "monthly"), ("s3up-drill.timer", "weekly")] {
        let timer = fs::read_to_string(packaged().join(name)).unwrap();
        assert!(timer.contains(&format!("\nOnCalendar={when}\n")), "{name}");
        assert!(timer.contains("\nPersistent=true\n"), "{name}");
    }
}

#[test]
fn a_drop_in_lets_the_agent_delete_files_below_the_named_directories() {
    let example = packaged().join("../examples/s3up.cleanup.conf");
    let example = fs::read_to_string(example).expect("the drop-in");
    let settings: Vec<_> = example.lines().filter(|line| line.contains('=')).collect();
    let docs = fs::read_to_string(packaged().join("../../docs/systemd.md")).expect("the page");
    for line in settings.iter().filter(|line| !line.starts_with('#')) {
        assert!(docs.contains(line), "docs/systemd.md lacks {line}");
    }
    let directory = units(str::to_owned);
    let drop_ins = directory.path().join("s3up.service.d");
    fs::create_dir(&drop_ins).unwrap();

    fs::write(drop_ins.join("cleanup.conf"), &example).unwrap();
    let Some(()) = assert_understood(directory.path()) else { return };

    fs::write(drop_ins.join("cleanup.conf"), example.replace("ReadWrite", "ReadWrit")).unwrap();
    let misspelt = analyze(directory.path(), &["verify", "s3up.service"]).expect("it was there");
    assert!(!misspelt.stderr.is_empty(), "the drop-in is not read");
}

#[test]
fn the_services_are_confined() {
    let directory = units(str::to_owned);
    for (name, exposure_max) in EXPOSURE_MAX {
        let service = directory.path().join(name);
        let arguments = ["security", "--offline=true", "--no-pager"];
        let Some(output) =
            analyze(directory.path(), &[&arguments[..], &[service.to_str().unwrap()]].concat())
        else {
            return;
        };

        let said = String::from_utf8_lossy(&output.stdout);

        assert!(output.status.success(), "{output:?}");
        let level = said.split("Overall exposure level for").nth(1).expect("a level");
        let level = level.split_once(": ").and_then(|(_, rest)| rest.split(' ').next());
        let (whole, tenth) = level.and_then(|level| level.split_once('.')).expect("a number");
        let exposure = 10 * whole.parse::<u32>().unwrap() + tenth.parse::<u32>().unwrap();
        assert!(exposure <= exposure_max, "{said}");
    }
}
