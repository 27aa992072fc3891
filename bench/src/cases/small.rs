//! Many small objects: straight, and through agent and gateway.

use std::fs;

use anyhow::Context;

use super::Peers;
use super::gateway::{API_KEY, agent, start_gateway};
use crate::load::objects::length;
use crate::measure::{Contender, in_turn};
use crate::report::{Rate, Report};
use crate::tools::{self, BUCKET};
use crate::world::{World, write_noise};

const COUNT: u64 = 20_000;
const FILES_PER_FOLDER: u64 = 500;

fn bytes() -> u64 {
    (0..COUNT).map(length).sum()
}

pub fn objects(world: &World) -> anyhow::Result<Report> {
    let sink = world.sink(&[])?;
    let gateway = start_gateway(world, &sink)?;
    let straight = |name: &str, by: &'static str| {
        let url = sink.url.clone();
        Contender::new(name, bytes(), move |_| {
            let mut command = world.command("s3up-bench", &url);
            command.args(["objects", "--endpoint", &url, "--by", by]);
            command.args(["--count", &COUNT.to_string()]);
            Ok(command)
        })
    };
    let through = |name: &str, folder: &'static str, digest: bool| {
        let url = gateway.url.clone();
        Contender::new(name, bytes(), move |round| {
            let mut command = world.command("s3up-bench", &url);
            command.args(["put", "--gateway", &url, "--api-key", API_KEY]);
            command.args(["--count", &COUNT.to_string()]);
            command.args(["--folder", &format!("{folder}-{round}")]);
            command.args(digest.then_some("--digest"));
            Ok(command)
        })
        .with_server(&gateway)
    };
    let contenders = [
        straight("SDK, straight", "sdk"),
        straight("engine, straight", "engine"),
        through("HTTP client, through the gateway", "plain", false),
        through("the same, SHA-256 announced", "digest", true),
    ];
    let contenders = contenders.map(|contender| contender.objects(COUNT));
    Ok(Report {
        name: "objects",
        title: format!(
            "{COUNT} objects of 4 to 64 KiB from memory, 32 at once. The SDK is told to compute \
             no checksum and to sign no payload. \"Server\" is the gateway."
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: Vec::new(),
        rate: Rate::ObjectsPerSecond,
    })
}

pub fn files(world: &World) -> anyhow::Result<Report> {
    let folder = world.path("files");
    for number in 0..COUNT {
        let below = folder.join((number / FILES_PER_FOLDER).to_string());
        fs::create_dir_all(&below).with_context(|| format!("make {below:?}"))?;
        write_noise(&below.join(number.to_string()), length(number), number)?;
    }
    let sink = world.sink(&[])?;
    let gateway = start_gateway(world, &sink)?;
    let path = folder.display();
    let mut peers = Peers::default();
    let mut contenders = vec![];
    let mut add = |name: &str, tool: &str, arguments: String| {
        let Some(tool) = peers.find(tool) else { return };
        let script = format!("{} {arguments}", tool.display());
        let url = sink.url.clone();
        contenders.push(Contender::new(name, bytes(), move |round| {
            let script = script.replace("ROUND", &round.to_string());
            Ok(tools::pipeline(&url, world.home(), &script))
        }));
    };
    let s5cmd = format!("--numworkers 32 cp {path}/ s3://{BUCKET}/s5cmd-ROUND/");
    add("s5cmd cp, straight", "s5cmd", s5cmd);
    let rclone =
        "copy --transfers 32 --checkers 32 --no-traverse --s3-no-check-bucket --s3-no-head";
    add("rclone copy, straight", "rclone", format!("{rclone} {path} sink:{BUCKET}/rclone-ROUND"));
    contenders.push(agent(world, &gateway, folder.clone(), bytes(), 32));
    let contenders: Vec<_> =
        contenders.into_iter().map(|contender| contender.objects(COUNT)).collect();
    Ok(Report {
        name: "files",
        title: format!(
            "{COUNT} files of 4 to 64 KiB from disk: the peers straight into the sink with 32 \
             workers, ours from the agent through the gateway, which all share this machine. \
             \"Server\" is the gateway."
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: peers.missing,
        rate: Rate::ObjectsPerSecond,
    })
}
