//! Long files through the gateway, and many uploads at once.

use std::path::PathBuf;

use crate::clients::{self, BUCKET, Peers, REGION};
use crate::measure::{Contender, run_in_turn};
use crate::noise::write_noise;
use crate::report::{Rate, Report};
use crate::server::{Server, free_port};
use crate::units::{GIB, MIB};
use crate::workspace::Workspace;

pub const API_KEY: &str = "sk_live_bench_0123456789012345678901234567890";
/// Key of another client.
pub const OTHER_KEY: &str = "sk_live_other_0123456789012345678901234567890";
pub const ADMIN_KEY: &str = "s3up_admin_bench_01234567890123456789012345678";
/// Concurrent uploads of each client.
const CONCURRENT_MAX: u64 = 1000;
const UPLOADS: u64 = 200;
/// Number of slow uploads of another client beside them.
const SLOW_UPLOADS: u64 = 100;
/// Length of an upload: four parts. The gateway allocates all that an upload needs
/// with its second part.
const UPLOAD_MIB: u64 = 128;

/// Starts a gateway in front of the S3 server `s3`, with its default settings but for the number of concurrent uploads.
pub fn start_gateway(workspace: &Workspace, s3: &Server) -> anyhow::Result<Server> {
    start_gateway_with(workspace, s3, Some(CONCURRENT_MAX))
}

/// Starts a gateway whose clients may have that number of concurrent uploads, by default (`None`) as many as usual.
pub fn start_gateway_with(
    workspace: &Workspace,
    s3: &Server,
    uploads_max: Option<u64>,
) -> anyhow::Result<Server> {
    let limit =
        uploads_max.map_or_else(String::new, |max| format!(", max_concurrent_uploads: {max}"));
    let port = free_port()?;
    let text = format!(
        "server: {{ host: \"127.0.0.1\", port: {port} }}\ns3:\n  endpoint: \"{}\"\n  \
         region: \"{REGION}\"\n  bucket: \"{BUCKET}\"\n  path_prefix: \"gateway/\"\n  \
         access_key_id: \"{}\"\n  secret_access_key: \"{}\"\ndatabase: {{ path: {:?} }}\nadmin_keys: [\"{ADMIN_KEY}\"]\n\
         clients:\n  - {{ name: \"bench\", api_key: \"{API_KEY}\", max_file_size_mb: 1000000{limit} }}\n  \
         - {{ name: \"other\", api_key: \"{OTHER_KEY}\"{limit} }}\n",
        s3.url,
        clients::KEY_ID,
        clients::SECRET,
        workspace.path("gateway.db"),
    );
    let config = workspace.write("server.yaml", &text)?;
    let mut command = workspace.command("s3up-server", &s3.url);
    Server::start_on(command.arg("--config").arg(config), port, &workspace.path("gateway.log"))
}

/// Returns a contender: one scan of `directory` by the agent, with a new database
/// and a remote prefix of its own.
pub fn agent<'a>(
    workspace: &'a Workspace,
    gateway: &'a Server,
    directory: PathBuf,
    bytes: u64,
    concurrent: usize,
) -> Contender<'a> {
    let agent = Contender::new("s3up, through the gateway", bytes, move |round| {
        let text = format!(
            "server: {{ url: \"{}\", api_key: \"{API_KEY}\" }}\n\
             database: {{ path: {:?} }}\nwatches:\n  - {{ local_path: {directory:?}, \
             remote_prefix: \"round-{round}/\" }}\nscan: {{ upload_existing: true }}\n\
             stability: {{ debounce_seconds: 1 }}\nupload: {{ concurrent: {concurrent} }}\n",
            gateway.url,
            workspace.path(format!("agent-{round}.db")),
        );
        let config = workspace.write(&format!("client-{round}.yaml"), &text)?;
        let mut command = workspace.command("s3up", &gateway.url);
        command.args(["scan", "--config"]).arg(config);
        Ok(command)
    });
    agent.with_server(gateway)
}

pub fn one_file(workspace: &Workspace) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&[])?;
    let gateway = start_gateway(workspace, &s3)?;
    let directory = workspace.path("long");
    std::fs::create_dir(&directory)?;
    let (file, bytes) = (directory.join("file"), workspace.gib * GIB);
    write_noise(&file, bytes, 1)?;
    let mut peers = Peers::default();
    let mut contenders = Vec::new();
    if let Some(s5cmd) = peers.find("s5cmd") {
        let (tool, file) = (s5cmd.display().to_string(), file.display().to_string());
        let url = s3.url.clone();
        let script = format!("{tool} cp --concurrency 4 --part-size 32 {file} s3://{BUCKET}/s5cmd");
        contenders.push(Contender::new("s5cmd cp", bytes, move |_| {
            Ok(clients::pipeline(&url, workspace.directory(), &script))
        }));
    }
    contenders.push(agent(workspace, &gateway, directory, bytes, 8));
    Ok(Report {
        name: "file",
        title: format!(
            "One file of {} GiB through agent and gateway into the null S3 server. The agent reads \
             it twice, because it announces the SHA-256. \"Server\" is the gateway.",
            workspace.gib
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: peers.missing,
        rate: Rate::MibPerSecond,
    })
}

pub fn concurrent_uploads(workspace: &Workspace) -> anyhow::Result<Report> {
    uploads_at_once(workspace, "gateway-200", UPLOAD_MIB, &[8, UPLOADS], 0)
}

/// The slow uploads of another client must neither be ended nor take the memory of the others.
pub fn uploads_beside_slow_ones(workspace: &Workspace) -> anyhow::Result<Report> {
    uploads_at_once(workspace, "gateway-slow", 1024, &[UPLOADS], SLOW_UPLOADS)
}

/// The memory of the gateway must be that of shorter uploads.
pub fn concurrent_long_uploads(workspace: &Workspace) -> anyhow::Result<Report> {
    uploads_at_once(workspace, "gateway-200-gib", 1024, &[UPLOADS], 0)
}

/// Measures uploads of `mib` MiB into the gateway, with each number of them at once, beside a number of
/// slow ones.
fn uploads_at_once(
    workspace: &Workspace,
    name: &'static str,
    mib: u64,
    at_once: &[u64],
    slow: u64,
) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&[])?;
    let gateway = start_gateway(workspace, &s3)?;
    let put = |concurrency: u64| {
        let url = gateway.url.clone();
        Contender::new(format!("{concurrency} at once"), UPLOADS * mib * MIB, move |round| {
            let mut command = workspace.command("s3up-bench", &url);
            command.args(["put", "--gateway", &url, "--api-key", API_KEY]);
            command.args(["--mib", &mib.to_string(), "--count", &UPLOADS.to_string()]);
            command.args(["--concurrency", &concurrency.to_string()]);
            command.args(["--directory", &format!("long-{round}")]);
            command.args(["--slow", &slow.to_string(), "--slow-key", OTHER_KEY]);
            Ok(command)
        })
        .with_server(&gateway)
    };
    let contenders: Vec<_> = at_once.iter().map(|count| put(*count)).collect();
    Ok(Report {
        name,
        title: format!(
            "{UPLOADS} uploads of {mib} MiB into the gateway, beside {slow} slow ones of another client. \
             \"Server\" is the gateway."
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
