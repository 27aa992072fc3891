//! garage: an S3 server that people run at home.
//!
//! `./check --full` builds the version that `scripts/install.sh` pins, and passes
//! its path. It gets a directory, a configuration, one node that holds everything, and
//! one key that may create buckets.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::process::{Process, path_in, run, start};
use super::{Running, ServerName, not_run, with_new_buckets};
use crate::contract::server::Server;

const PROGRAM: &str = "S3UP_GARAGE";
const REGION: &str = "garage";
const KEY_ID: &str = "GK0123456789abcdef01234567";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// It does not accept port 0, and another program may take a free port before it
/// starts.
const STARTS_MAX: usize = 3;

#[derive(Debug)]
pub struct Garage {
    process: Process,
    endpoint: String,
    /// Holds its data; dropped last.
    directory: TempDir,
}

pub async fn start_or_print_why_not() -> Option<Running<Garage>> {
    let Some(program) = path_in(PROGRAM) else {
        not_run("garage: ./check --full builds it and tests it");
        return None;
    };
    let garage = started(&program).await;
    let config = config_of(&garage.directory);
    let config = config.to_str().expect("a path in UTF-8");
    let allow = ["-c", config, "key", "allow", "--create-bucket", KEY_ID];
    run(&program, &allow).await.expect("a key that may create buckets");
    let server = Server::new(garage.endpoint.clone(), REGION, KEY_ID, SECRET);
    let target = with_new_buckets(ServerName::Garage, server).await;
    Some(Running { target, stopper: garage })
}

async fn started(program: &Path) -> Garage {
    let mut refusals = Vec::new();
    for _ in 0..STARTS_MAX {
        match start_once(program).await {
            Ok(garage) => return garage,
            Err(refusal) => refusals.push(refusal),
        }
    }
    panic!("garage does not start: {}", refusals.join("\n"));
}

async fn start_once(program: &Path) -> Result<Garage, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let [s3, rpc] = free_ports();
    std::fs::write(config_of(&directory), config(&directory, s3, rpc)).expect("a written file");
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(config_of(&directory))
        .args(["server", "--single-node", "--default-access-key"])
        .env("GARAGE_DEFAULT_ACCESS_KEY", KEY_ID)
        .env("GARAGE_DEFAULT_SECRET_KEY", SECRET)
        .env("GARAGE_ALLOW_WORLD_READABLE_SECRETS", "true");
    let is_up = |line: &str| line.contains("S3 API server listening").then_some(());
    let (process, ()) = start(&mut command, is_up).await?;
    Ok(Garage { process, endpoint: format!("http://127.0.0.1:{s3}"), directory })
}

fn config_of(directory: &TempDir) -> PathBuf {
    directory.path().join("garage.toml")
}

fn config(directory: &TempDir, s3: u16, rpc: u16) -> String {
    let directory = directory.path();
    format!(
        "metadata_dir = {:?}\ndata_dir = {:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_secret = \"{SECRET}\"\n[s3_api]\ns3_region = \"{REGION}\"\n\
         api_bind_addr = \"127.0.0.1:{s3}\"\nroot_domain = \".s3.garage.localhost\"\n",
        directory.join("meta"),
        directory.join("data"),
    )
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}

impl Running<Garage> {
    pub async fn stop(self) {
        self.stopper.process.stop().await;
    }
}
