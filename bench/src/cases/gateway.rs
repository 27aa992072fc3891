//! Long files through the gateway.

use std::path::PathBuf;

use super::Peers;
use crate::measure::{Contender, in_turn};
use crate::report::{Rate, Report};
use crate::tools::{self, BUCKET, REGION};
use crate::world::{GIB, MIB, Server, World, free_port, write_noise};

pub const API_KEY: &str = "sk_live_bench_0123456789012345678901234567890";
const UPLOADS: u64 = 200;
/// Four parts each: what the gateway needs for an upload is there with the second.
const UPLOAD_MIB: u64 = 128;

/// A gateway with its defaults, before the sink.
pub fn start_gateway(world: &World, sink: &Server) -> anyhow::Result<Server> {
    let port = free_port()?;
    let text = format!(
        "server: {{ host: \"127.0.0.1\", port: {port} }}\ns3:\n  endpoint: \"{}\"\n  \
         region: \"{REGION}\"\n  bucket: \"{BUCKET}\"\n  path_prefix: \"gateway/\"\n  \
         access_key_id: \"{}\"\n  secret_access_key: \"{}\"\nclients:\n  - {{ name: \"bench\", \
         api_key: \"{API_KEY}\", max_file_size_mb: 1000000, max_concurrent_uploads: 1000 }}\n",
        sink.url,
        tools::KEY_ID,
        tools::SECRET,
    );
    let config = world.write("server.yaml", &text)?;
    let mut command = world.command("s3up-server", &sink.url);
    Server::start_on(command.arg("--config").arg(config), port, &world.path("gateway.log"))
}

/// A pass of the agent over `folder`, with a new database and a prefix of its own.
pub fn agent<'a>(
    world: &'a World,
    gateway: &'a Server,
    folder: PathBuf,
    bytes: u64,
    concurrent: usize,
) -> Contender<'a> {
    let agent = Contender::new("s3up, through the gateway", bytes, move |round| {
        let text = format!(
            "server: {{ url: \"{}\", api_key: \"{API_KEY}\" }}\n\
             database: {{ path: {:?} }}\nwatches:\n  - {{ local_path: {folder:?}, \
             remote_prefix: \"round-{round}/\" }}\nscan: {{ upload_existing: true }}\n\
             stability: {{ debounce_seconds: 1 }}\nupload: {{ concurrent: {concurrent} }}\n",
            gateway.url,
            world.path(format!("agent-{round}.db")),
        );
        let config = world.write(&format!("client-{round}.yaml"), &text)?;
        let mut command = world.command("s3up", &gateway.url);
        command.args(["scan", "--config"]).arg(config);
        Ok(command)
    });
    agent.with_server(gateway)
}

pub fn one_file(world: &World) -> anyhow::Result<Report> {
    let sink = world.sink(&[])?;
    let gateway = start_gateway(world, &sink)?;
    let folder = world.path("long");
    std::fs::create_dir(&folder)?;
    let (file, bytes) = (folder.join("file"), world.gib * GIB);
    write_noise(&file, bytes, 1)?;
    let mut peers = Peers::default();
    let mut contenders = Vec::new();
    if let Some(s5cmd) = peers.find("s5cmd") {
        let (tool, file) = (s5cmd.display().to_string(), file.display().to_string());
        let url = sink.url.clone();
        let script = format!("{tool} cp --concurrency 4 --part-size 32 {file} s3://{BUCKET}/s5cmd");
        contenders.push(Contender::new("s5cmd cp, straight", bytes, move |_| {
            Ok(tools::pipeline(&url, world.home(), &script))
        }));
    }
    contenders.push(agent(world, &gateway, folder, bytes, 8));
    Ok(Report {
        name: "file",
        title: format!(
            "One file of {} GiB: agent, gateway, sink. The agent reads it twice: it announces the \
             SHA-256. \"Server\" is the gateway.",
            world.gib
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: peers.missing,
        rate: Rate::MibPerSecond,
    })
}

pub fn many_at_once(world: &World) -> anyhow::Result<Report> {
    let sink = world.sink(&[])?;
    let gateway = start_gateway(world, &sink)?;
    let put = |uploads: u64| {
        let url = gateway.url.clone();
        Contender::new(format!("{uploads} at once"), UPLOADS * UPLOAD_MIB * MIB, move |round| {
            let mut command = world.command("s3up-bench", &url);
            command.args(["put", "--gateway", &url, "--api-key", API_KEY]);
            command.args(["--mib", &UPLOAD_MIB.to_string()]);
            command.args(["--count", &UPLOADS.to_string(), "--concurrency", &uploads.to_string()]);
            command.args(["--folder", &format!("long-{round}")]);
            Ok(command)
        })
        .with_server(&gateway)
    };
    Ok(Report {
        name: "gateway-200",
        title: format!(
            "{UPLOADS} uploads of {UPLOAD_MIB} MiB into the gateway. \"Server\" is the gateway."
        ),
        rows: in_turn(&[put(8), put(UPLOADS)], world.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
