//! moto: an S3 server in Python, written to test clients.
//!
//! `./check` installs the version that `scripts/install.sh` pins, and passes its
//! path.

use tokio::process::Command;

use super::process::{Process, path_in, start};
use super::{Running, ServerName, skipped, with_new_buckets};
use crate::contract::server::Server;

const PROGRAM: &str = "S3UP_MOTO_SERVER";
const REGION: &str = "us-east-1";

pub async fn start_or_print_why_not() -> Option<Running<Process>> {
    let Some(program) = path_in(PROGRAM) else {
        skipped("moto is not installed (./check installs it)");
        return None;
    };
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
    let (process, endpoint) = start(&mut command, endpoint).await.expect("a moto server");
    let server = Server::new(endpoint, REGION, "moto", "moto-secret");
    let target = with_new_buckets(ServerName::Moto, server).await;
    Some(Running { target, stopper: process })
}

/// Finds the endpoint in ` * Running on http://127.0.0.1:36903`.
fn endpoint(line: &str) -> Option<String> {
    Some(line.split_once("Running on ")?.1.trim().to_owned())
}

impl Running<Process> {
    pub async fn stop(self) {
        self.stopper.stop().await;
    }
}
