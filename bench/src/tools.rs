//! What is installed of our peers, and how each is told where S3 is.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Credentials that the sink does not look at, but every client wants.
pub const KEY_ID: &str = "bench";
pub const SECRET: &str = "bench-secret";
pub const BUCKET: &str = "bench";
pub const REGION: &str = "us-east-1";

/// A tool that may be here.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A command that finds the sink at `url` by its environment, whichever of the
/// tools it is.
pub fn command(program: impl AsRef<Path>, url: &str, home: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    let rclone = |key: &str| format!("RCLONE_CONFIG_SINK_{key}");
    command
        // A CA of this machine says nothing about the sink, and rclone trips over it.
        .env_remove("AWS_CA_BUNDLE")
        .env("AWS_ACCESS_KEY_ID", KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", home.join("aws-config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", home.join("aws-credentials"))
        .env("AWS_ENDPOINT_URL", url)
        .env("S3_ENDPOINT_URL", url)
        .env("RCLONE_CONFIG", home.join("rclone.conf"))
        .env(rclone("TYPE"), "s3")
        .env(rclone("PROVIDER"), "Other")
        .env(rclone("ENDPOINT"), url)
        .env(rclone("ACCESS_KEY_ID"), KEY_ID)
        .env(rclone("SECRET_ACCESS_KEY"), SECRET);
    command
}

/// Of the AWS CLI: as many parts at once, and as long, as ours.
pub const AWS_CONFIG: &str = "[default]\nrequest_checksum_calculation = when_required\ns3 =\n  \
     max_concurrent_requests = 4\n  multipart_chunksize = 32MB\n  multipart_threshold = 32MB\n";

/// A shell pipeline that fails where any of it does.
pub fn pipeline(url: &str, home: &Path, script: &str) -> Command {
    let mut command = command("bash", url, home);
    command.args(["-c", &format!("set -o pipefail; {script}")]);
    command.stdout(std::process::Stdio::null());
    command
}
