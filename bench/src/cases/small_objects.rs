//! Many small objects: directly into S3, and through gateway and agent.

use std::fs;

use anyhow::Context;

use super::gateway::{API_KEY, agent, start_gateway};
use crate::clients::{self, BUCKET, Peers};
use crate::load::objects::length;
use crate::measure::{Contender, run_in_turn};
use crate::noise::write_noise;
use crate::report::{Rate, Report};
use crate::workspace::Workspace;

pub(super) const COUNT: u64 = 20_000;
const FILES_PER_DIRECTORY: u64 = 500;

pub(super) fn bytes() -> u64 {
    (0..COUNT).map(length).sum()
}

pub fn objects(workspace: &Workspace) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&[])?;
    let gateway = start_gateway(workspace, &s3)?;
    let direct = |name: &str, uploader: &'static str| {
        let url = s3.url.clone();
        Contender::new(name, bytes(), move |_| {
            let mut command = workspace.command("s3up-bench", &url);
            command.args(["objects", "--endpoint", &url, "--uploader", uploader]);
            command.args(["--count", &COUNT.to_string()]);
            Ok(command)
        })
    };
    let through_gateway = |name: &str, directory: &'static str, digest: bool| {
        let url = gateway.url.clone();
        Contender::new(name, bytes(), move |round| {
            let mut command = workspace.command("s3up-bench", &url);
            command.args(["put", "--gateway", &url, "--api-key", API_KEY]);
            command.args(["--count", &COUNT.to_string()]);
            command.args(["--directory", &format!("{directory}-{round}")]);
            command.args(digest.then_some("--digest"));
            Ok(command)
        })
        .with_server(&gateway)
    };
    let contenders = [
        direct("SDK", "sdk"),
        direct("store", "store"),
        through_gateway("HTTP client, through the gateway", "plain", false),
        through_gateway("the same, SHA-256 announced", "digest", true),
    ];
    let contenders = contenders.map(|contender| contender.objects(COUNT));
    Ok(Report {
        name: "objects",
        title: format!(
            "{COUNT} objects of 4 to 64 KiB from memory, 32 at once. The SDK computes no checksum \
             and signs no payload. \"Server\" is the gateway."
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::ObjectsPerSecond,
    })
}

pub fn files(workspace: &Workspace) -> anyhow::Result<Report> {
    let directory = workspace.path("files");
    for number in 0..COUNT {
        let parent = directory.join((number / FILES_PER_DIRECTORY).to_string());
        fs::create_dir_all(&parent).with_context(|| format!("create {parent:?}"))?;
        write_noise(&parent.join(number.to_string()), length(number), number)?;
    }
    let s3 = workspace.null_server(&[])?;
    let gateway = start_gateway(workspace, &s3)?;
    let path = directory.display();
    let mut peers = Peers::default();
    let mut contenders = vec![];
    let mut add = |name: &str, tool: &str, arguments: String| {
        let Some(tool) = peers.find(tool) else { return };
        let script = format!("{} {arguments}", tool.display());
        let url = s3.url.clone();
        contenders.push(Contender::new(name, bytes(), move |round| {
            let script = script.replace("ROUND", &round.to_string());
            Ok(clients::pipeline(&url, workspace.directory(), &script))
        }));
    };
    let s5cmd = format!("--numworkers 32 cp {path}/ s3://{BUCKET}/s5cmd-ROUND/");
    add("s5cmd cp", "s5cmd", s5cmd);
    let rclone =
        "copy --transfers 32 --checkers 32 --no-traverse --s3-no-check-bucket --s3-no-head";
    add("rclone copy", "rclone", format!("{rclone} {path} bench:{BUCKET}/rclone-ROUND"));
    contenders.push(agent(workspace, &gateway, directory.clone(), bytes(), 32));
    let contenders: Vec<_> =
        contenders.into_iter().map(|contender| contender.objects(COUNT)).collect();
    Ok(Report {
        name: "files",
        title: format!(
            "{COUNT} files of 4 to 64 KiB from disk: the peers directly into the null S3 server \
             with 32 workers, ours from the agent through the gateway. All share this machine. \
             \"Server\" is the gateway."
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: peers.missing,
        rate: Rate::ObjectsPerSecond,
    })
}
