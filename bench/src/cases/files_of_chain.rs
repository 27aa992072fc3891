//! One file out of a chain of backups, and listings, by the indexes of the chain.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::backup::{Parts, Source};
use crate::measure::{Contender, run, run_in_turn};
use crate::noise::write_noise;
use crate::report::{Rate, Report};
use crate::units::MIB;
use crate::workspace::Workspace;

const INCREMENTALS: u64 = 10;
const WANTED_BYTES: u64 = 10 << 10;
/// Length of the file that each incremental adds.
const ADDED_BYTES: u64 = 4 * MIB;

pub fn one_file(workspace: &Workspace) -> anyhow::Result<Report> {
    let source = Source::new(workspace)?;
    let devstore = workspace.devstore(&[])?;
    let config = source.configure(workspace, &devstore.url, Parts::DEFAULT, "chain")?;
    let data = source.fs.path().join("data");
    write_noise(&data.join("wanted"), WANTED_BYTES, 1000)?;
    for n in 0..=INCREMENTALS {
        write_noise(&data.join(format!("added-{n}")), ADDED_BYTES, 2000 + n)?;
        let first = File::options().write(true).open(data.join("file-0")).context("open file-0")?;
        first.write_all_at(&[n as u8; 4096], n * MIB).context("change file-0")?;
        let mut backup = workspace.command("btrfs-to-s3", &devstore.url);
        run(backup.args(["backup", "--once", "--config"]).arg(&config))?;
    }
    let restored = workspace.path("restored");
    let restore = || {
        let mut restore = workspace.command("btrfs-to-s3", &devstore.url);
        restore.args(["restore", "--subvolume", "data", "--path", "wanted", "--config"]);
        restore.arg(&config).arg("--target").arg(&restored);
        restore
    };
    let mut preview = restore();
    let preview = preview.args(["--dry-run", "--json"]).stdout(std::process::Stdio::piped());
    let preview = preview.output().context("run a preview")?;
    ensure!(preview.status.success(), "the preview failed");
    let preview: Value = serde_json::from_slice(&preview.stdout).context("parse the preview")?;
    let fetched = preview["fetched_bytes"].as_u64().context("fetched_bytes")?;
    let contenders = [
        Contender::new("btrfs-to-s3 restore --path, one file", fetched, |_| Ok(restore()))
            .after(|_| fs::remove_dir_all(&restored).context("remove the restored file"))
            .with_server(&devstore),
        Contender::new("btrfs-to-s3 ls", 0, |_| {
            let mut ls = workspace.command("btrfs-to-s3", &devstore.url);
            ls.args(["ls", "--subvolume", "data", "--config"]).arg(&config);
            Ok(ls)
        })
        .with_server(&devstore),
    ];
    Ok(Report {
        name: "restore-one-file",
        title: format!(
            "A file of 10 KiB out of a full of {} GiB and {INCREMENTALS} incrementals in the \
             embedded S3 server, from {:.1} MiB of parts of 32 MiB.",
            workspace.gib,
            fetched as f64 / MIB as f64
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
