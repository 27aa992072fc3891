//! Compares the outputs of the commands, for a small subvolume, with the golden files in
//! `tests/golden/output`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use s3up_testkit::golden::{Redactions, assert_golden};
use s3up_testkit::{Tree, file, noise};

use crate::fixture::{CHUNK, Ran, World};

/// Width of a terminal, into which every table fits.
const COLUMNS_MAX: usize = 80;

/// Runs commands, and compares what they print.
struct Golden {
    world: World,
    redactions: Redactions,
}

impl Golden {
    async fn start(retention: &str) -> Option<Golden> {
        let world = World::start(&["data"]).await?;
        let path = world.subvolume("data");
        world.configure(&format!("paths = [{path:?}]"), retention);
        Tree::new([file("big", noise(CHUNK)), file("a/readme", "hello")]).write(&path);
        let directory = world.config().parent().expect("a directory").display().to_string();
        let redactions = Redactions::new()
            .text("[PROGRAM]", env!("CARGO_BIN_EXE_btrfs-to-s3"))
            .text("[MOUNT]", world.fs.path().display().to_string())
            .text("[DIR]", directory)
            .text("[ENDPOINT]", world.s3.endpoint());
        Some(Golden { world, redactions })
    }

    async fn change_and_backup(&self, name: &str, arguments: &[&str]) {
        fs::write(self.world.subvolume("data").join(name), noise(3 << 20)).expect("a written file");
        let ran = self.world.run(arguments).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }

    /// Asserts what a command prints: its standard output, and its error if it failed.
    async fn prints(&self, name: &str, arguments: &[&str]) {
        let ran = self.world.run(arguments).await;
        let of_tables = ran.stdout.lines().filter(|line| line.contains("  "));
        for line in of_tables {
            assert!(line.chars().count() <= COLUMNS_MAX, "{line}");
        }
        let line = arguments.join(" ");
        let text = format!("$ btrfs-to-s3 {line}\n{}{}", ran.stdout, error(&ran));
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/output");
        assert_golden(&directory.join(format!("{name}.txt")), &text, &self.redactions);
    }
}

/// Returns the error line and the exit code. Empty if the command succeeded.
fn error(ran: &Ran) -> String {
    if ran.code == Some(0) {
        return String::new();
    }
    let lines = ran.stderr.lines().filter(|line| line.starts_with("btrfs-to-s3: "));
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    format!("{lines}exit code {}\n", ran.code.expect("a program that ended"))
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_about_backups_are_those_of_the_golden_files() {
    let Some(golden) =
        Golden::start("[retention]\nprune = \"off\"\nmin_age_days = 0\nkeep_days = 0").await
    else {
        return;
    };

    golden.prints("check-config", &["check-config"]).await;
    golden.prints("estimate", &["estimate"]).await;
    golden.prints("plan-first", &["plan"]).await;
    golden.prints("list-nothing", &["list"]).await;
    golden.prints("status-nothing", &["status"]).await;
    golden.prints("status-check-problem", &["status", "--check"]).await;

    golden.change_and_backup("one", &["backup", "--once"]).await;
    golden.change_and_backup("two", &["backup", "--once"]).await;
    golden.prints("plan-not-due", &["plan"]).await;
    golden.prints("backup-dry-run", &["backup", "--once", "--dry-run"]).await;
    golden.prints("prune-nothing", &["prune", "--dry-run"]).await;

    golden.change_and_backup("three", &["backup", "--full"]).await;
    golden.change_and_backup("four", &["backup", "--once"]).await;
    golden.prints("list", &["list"]).await;
    golden.prints("status", &["status"]).await;
    golden.prints("status-check", &["status", "--check"]).await;
    golden.prints("verify", &["verify"]).await;
    golden.prints("verify-deep", &["verify", "--deep"]).await;
    golden.prints("prune-dry-run", &["prune", "--dry-run"]).await;
    golden.prints("prune", &["prune"]).await;
    golden.world.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_about_restores_are_those_of_the_golden_files() {
    let Some(golden) = Golden::start("").await else { return };
    let directory = s3up_testkit::temp_dir();
    let scratch = directory.path().display().to_string();
    let golden = Golden { redactions: golden.redactions.text("[SCRATCH]", &scratch), ..golden };
    let target = golden.world.subvolume("restored").display().to_string();
    let dry_run = ["restore", "--subvolume", "data", "--target", &target, "--dry-run"];
    let drill = format!("drill.scratch_dir={scratch}");

    golden.change_and_backup("one", &["backup", "--once"]).await;
    golden.change_and_backup("two", &["backup", "--once"]).await;
    golden.prints("restore-dry-run", &dry_run).await;
    golden.prints("drill", &["drill", "--set", &drill]).await;

    golden.world.reconfigure("\"STANDARD\"", "\"DEEP_ARCHIVE\"");
    golden.world.s3.set_restore_delay(Duration::from_secs(12 * 3600));
    golden.change_and_backup("three", &["backup", "--full"]).await;
    golden.prints("list-archived", &["list"]).await;
    golden.prints("verify-deep-archived", &["verify", "--deep"]).await;
    golden.prints("restore-dry-run-archived", &dry_run).await;
    golden.prints("drill-archived", &["drill", "--set", &drill]).await;
    golden.prints("thaw", &["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
    golden.world.s3.set_restore_delay(Duration::ZERO);
    golden.prints("thaw-requested", &["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
    golden.world.assert_nothing_runs();
}
