//! S3 servers that we did not write, for tests that `./check --full` runs.
//!
//! `./check --full` installs the versions that `scripts/install.sh` pins and passes
//! their programs. `scripts/s3-server.sh` runs one until its standard input ends, so
//! a server ends with the test in every case, even if the test is killed.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// Time for a server to start on a busy machine. Ceph needs 20 seconds on an idle
/// one.
const START_TIME_MAX: Duration = Duration::from_secs(180);
/// Time for a server to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Ceph RGW, one monitor and one OSD in memory.
    Rgw,
    /// OpenStack Swift with its S3 interface.
    Swift,
    SeaweedFs,
    /// `rclone serve s3`.
    Rclone,
}

/// A running server without buckets.
#[derive(Debug)]
pub struct ForeignServer {
    pub endpoint: String,
    pub key_id: String,
    pub secret: String,
    process: Child,
    stdin: ChildStdin,
}

impl Foreign {
    /// The region of all of them.
    pub const REGION: &str = "us-east-1";

    pub const ALL: [Foreign; 4] =
        [Foreign::Rgw, Foreign::Swift, Foreign::SeaweedFs, Foreign::Rclone];

    /// Returns the name of the server as people write it.
    pub fn title(self) -> &'static str {
        match self {
            Foreign::Rgw => "Ceph RGW",
            Foreign::Swift => "Swift",
            Foreign::SeaweedFs => "SeaweedFS",
            Foreign::Rclone => "rclone",
        }
    }

    /// Returns the variable with the program of the server.
    fn variable(self) -> &'static str {
        match self {
            Foreign::Rgw => "S3UP_RGW",
            Foreign::Swift => "S3UP_SWIFT",
            Foreign::SeaweedFs => "S3UP_SEAWEEDFS",
            Foreign::Rclone => "S3UP_RCLONE",
        }
    }

    /// Returns the name of the server for `scripts/s3-server.sh`.
    fn name(self) -> &'static str {
        match self {
            Foreign::Rgw => "rgw",
            Foreign::Swift => "swift",
            Foreign::SeaweedFs => "seaweedfs",
            Foreign::Rclone => "rclone",
        }
    }

    /// Starts the server if the environment names its program. Otherwise prints one
    /// line that starts with `NOT RUN`, and returns `None`.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub async fn start_or_print_why_not(self) -> Option<ForeignServer> {
        let program = env::var_os(self.variable()).filter(|path| !path.is_empty());
        let Some(program) = program else {
            println!("NOT RUN: {}: ./check --full installs it and tests it", self.title());
            return None;
        };
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/s3-server.sh");
        let mut command = Command::new(script);
        command.arg(self.name()).arg(program);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("scripts/s3-server.sh");
        let stdin = process.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        let starting = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(words) = line.strip_prefix("listening on ") {
                    return Some(words.split(' ').map(str::to_owned).collect::<Vec<_>>());
                }
                said.push(line);
            }
            None
        };
        let found = tokio::time::timeout(START_TIME_MAX, starting).await.ok().flatten();
        let words = found.unwrap_or_else(|| panic!("{self:?} did not start: {}", said.join("\n")));
        // Read to its end: without a reader, a line of the script would end it by SIGPIPE.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let [endpoint, key_id, secret] = words.try_into().expect("an endpoint and a key");
        Some(ForeignServer { endpoint, key_id, secret, process, stdin })
    }
}

impl ForeignServer {
    pub async fn create_bucket(&self, name: &str) {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new(&self.key_id, &self.secret, None, None, "test"))
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .region(Region::from_static(Foreign::REGION));
        let client = Client::from_conf(config.build());
        client.create_bucket().bucket(name).send().await.expect("a new bucket");
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(mut self) {
        drop(self.stdin);
        let stopped = tokio::time::timeout(STOP_TIME_MAX, self.process.wait()).await;
        let status = stopped.expect("the server stops").expect("a child that can be waited for");
        assert!(status.success(), "{status}");
    }
}
