//! moto: an S3 in Python that others wrote to test their clients.
//!
//! `./check` installs it, in the version that `scripts/install.sh` names, and
//! says where it is.

use aws_sdk_s3::config::Credentials;
use tokio::process::Command;

use super::process::{Process, path_in, start};
use super::{Name, Running, skipped, with_new_buckets};
use crate::contract::server::{Server, client};

const PROGRAM: &str = "S3UP_MOTO_SERVER";
const REGION: &str = "us-east-1";

pub async fn start_or_say_why_not() -> Option<Running<Process>> {
    let Some(program) = path_in(PROGRAM) else {
        skipped("moto is not installed (./check installs it)");
        return None;
    };
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
    let (process, endpoint) = start(&mut command, endpoint).await.expect("a moto server");
    let credentials = Credentials::new("moto", "moto-secret", None, None, "test");
    let server = Server {
        client: client(&endpoint, REGION, credentials.clone()),
        bucket: String::new(),
        prefix: "contract/".to_owned(),
        credentials,
    };
    let target = with_new_buckets(Name::Moto, server).await;
    Some(Running { target, stopper: process })
}

/// In ` * Running on http://127.0.0.1:36903`.
fn endpoint(line: &str) -> Option<String> {
    Some(line.split_once("Running on ")?.1.trim().to_owned())
}

impl Running<Process> {
    pub async fn stop(self) {
        self.stopper.stop().await;
    }
}
