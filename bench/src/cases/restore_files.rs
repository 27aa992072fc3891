//! Many small files from S3 to the disk: by the peers directly, by the agent through the gateway.
//!
//! Restored trees are removed only at the end of the case. ext4 does not give the inode of a removed
//! file to another one for some minutes, and examines all such inodes for each new file: creating 20,000
//! files after 20,000 were removed took ten times the CPU time.

use super::gateway::{API_KEY, start_gateway};
use super::small_objects::{COUNT, bytes};
use crate::clients::{self, BUCKET, Peers};
use crate::measure::{Contender, run, run_in_turn};
use crate::report::{Rate, Report};
use crate::workspace::Workspace;

/// Remote directory of the files, and their prefix in the bucket.
const DIRECTORY: &str = "files";
const PREFIX: &str = "gateway/bench/files";

pub fn restore(workspace: &Workspace) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&["--keep"])?;
    let gateway = start_gateway(workspace, &s3)?;
    let mut put = workspace.command("s3up-bench", &gateway.url);
    put.args(["put", "--gateway", &gateway.url, "--api-key", API_KEY, "--digest"]);
    run(put.args(["--count", &COUNT.to_string(), "--directory", DIRECTORY]))?;
    let target = |name: &str, round: usize| workspace.path(format!("{name}-{round}"));
    let mut peers = Peers::default();
    let mut contenders = vec![];
    let mut add = |name: &'static str, arguments: &str| {
        let Some(tool) = peers.find(name) else { return };
        let (url, script) = (s3.url.clone(), format!("{} {arguments}", tool.display()));
        let contender = Contender::new(format!("{name}, directly"), bytes(), move |round| {
            let script = script.replace("TARGET", &target(name, round).display().to_string());
            Ok(clients::pipeline(&url, workspace.directory(), &script))
        });
        contenders.push(contender.before(sync));
    };
    add(
        "rclone",
        &format!(
            "copy --transfers 32 --checkers 32 --s3-no-check-bucket bench:{BUCKET}/{PREFIX} TARGET"
        ),
    );
    add("s5cmd", &format!("--numworkers 32 cp 's3://{BUCKET}/{PREFIX}/*' TARGET/"));
    let url = gateway.url.clone();
    let agent = Contender::new("s3up restore, through the gateway", bytes(), move |round| {
        let mut command = workspace.command("s3up", &url);
        command.args(["restore", DIRECTORY, "--url", &url, "--target"]).arg(target("s3up", round));
        command.env("S3UP_API_KEY", API_KEY);
        Ok(command)
    });
    contenders.push(agent.before(sync).with_server(&gateway));
    let contenders: Vec<_> =
        contenders.into_iter().map(|contender| contender.objects(COUNT)).collect();
    Ok(Report {
        name: "restore-files",
        title: format!(
            "{COUNT} files of 4 to 64 KiB from the null S3 server to the disk: the peers directly \
             with 32 workers, ours through the gateway. Ours verifies each SHA-256, sets modes and \
             times, and syncs the disk at its end; the peers do not sync. All share this machine. \
             \"Server\" is the gateway."
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: peers.missing,
        rate: Rate::ObjectsPerSecond,
    })
}

/// Writes the files of the round before, so that this one need not.
fn sync() -> anyhow::Result<()> {
    rustix::fs::sync();
    Ok(())
}
