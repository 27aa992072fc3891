//! The programs that act as S3 clients, our own and the peers: where a peer is
//! installed, and the environment from which each learns the S3 server.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Credentials. The null S3 server ignores them, but every client needs some.
pub const KEY_ID: &str = "bench";
pub const SECRET: &str = "bench-secret";
pub const BUCKET: &str = "bench";
pub const REGION: &str = "us-east-1";

/// The peers that a case looks for.
#[derive(Default)]
pub struct Peers {
    /// The names of the peers that are not installed.
    pub missing: Vec<String>,
}

impl Peers {
    /// Returns the path of a peer. If it is not installed, its name is added to
    /// [`Peers::missing`].
    pub fn find(&mut self, name: &str) -> Option<PathBuf> {
        let found = find_in_path(name);
        if found.is_none() {
            self.missing.push(name.to_owned());
        }
        found
    }
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Returns a command whose environment names the S3 server at `url` in the
/// variables of all clients. The configuration of `aws` and `rclone` is in
/// `directory`.
pub fn command(program: impl AsRef<Path>, url: &str, directory: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    let rclone = |key: &str| format!("RCLONE_CONFIG_BENCH_{key}");
    command
        // A CA bundle of this machine is irrelevant here, and rclone fails on it.
        .env_remove("AWS_CA_BUNDLE")
        .env("AWS_ACCESS_KEY_ID", KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", directory.join("aws-config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", directory.join("aws-credentials"))
        .env("AWS_ENDPOINT_URL", url)
        .env("S3_ENDPOINT_URL", url)
        .env("RCLONE_CONFIG", directory.join("rclone.conf"))
        .env(rclone("TYPE"), "s3")
        .env(rclone("PROVIDER"), "Other")
        .env(rclone("ENDPOINT"), url)
        .env(rclone("ACCESS_KEY_ID"), KEY_ID)
        .env(rclone("SECRET_ACCESS_KEY"), SECRET);
    command
}

/// The configuration of the AWS CLI: as many parts in flight, and of the same
/// length, as ours.
pub const AWS_CONFIG: &str = "[default]\nrequest_checksum_calculation = when_required\ns3 =\n  \
     max_concurrent_requests = 4\n  multipart_chunksize = 32MB\n  multipart_threshold = 32MB\n";

/// Returns a shell pipeline that fails if any command of it fails.
pub fn pipeline(url: &str, directory: &Path, script: &str) -> Command {
    let mut command = command("bash", url, directory);
    command.args(["-c", &format!("set -o pipefail; {script}")]);
    command.stdout(std::process::Stdio::null());
    command
}
