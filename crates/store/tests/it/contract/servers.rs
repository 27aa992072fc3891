//! The servers that the suite can test.

pub mod aws;
pub mod devstore;
pub mod foreign;
pub mod garage;
pub mod moto;
mod process;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerName {
    Devstore,
    Moto,
    Garage,
    Rgw,
    Swift,
    SeaweedFs,
    Rclone,
    Aws,
}

/// A server that is ready for the suite.
#[derive(Debug)]
pub struct Target {
    pub name: ServerName,
    pub server: Server,
    /// The same server with a bucket that keeps versions.
    pub versioned: Option<Server>,
    /// True if the suite may change the settings of the bucket.
    pub is_ours: bool,
}

/// A server that has to be stopped.
#[derive(Debug)]
pub struct Running<S> {
    pub target: Target,
    stopper: S,
}

const BUCKET: &str = "contract";
const VERSIONED_BUCKET: &str = "contract-versions";

impl ServerName {
    pub const ALL: [ServerName; 8] = [
        ServerName::Devstore,
        ServerName::Moto,
        ServerName::Garage,
        ServerName::Rgw,
        ServerName::Swift,
        ServerName::SeaweedFs,
        ServerName::Rclone,
        ServerName::Aws,
    ];

    /// Returns the title of its column in the document.
    pub fn title(self) -> &'static str {
        match self {
            ServerName::Devstore => "s3up-devstore",
            ServerName::Moto => "moto",
            ServerName::Garage => "garage",
            ServerName::Rgw => "Ceph RGW",
            ServerName::Swift => "Swift",
            ServerName::SeaweedFs => "SeaweedFS",
            ServerName::Rclone => "rclone",
            ServerName::Aws => "AWS",
        }
    }
}

/// Creates the two buckets of a server of the suite. A server that keeps no
/// versions accepts the second bucket too, and the suite detects that.
async fn with_new_buckets(name: ServerName, server: Server) -> Target {
    for bucket in [BUCKET, VERSIONED_BUCKET] {
        server.client.create_bucket().bucket(bucket).send().await.expect("a new bucket");
    }
    let keep = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let call = server.client.put_bucket_versioning().bucket(VERSIONED_BUCKET);
    call.versioning_configuration(keep.build()).send().await.ok();
    let versioned = Server { bucket: VERSIONED_BUCKET.to_owned(), ..server.clone() };
    let server = Server { bucket: BUCKET.to_owned(), ..server };
    Target { name, server, versioned: Some(versioned), is_ours: true }
}

/// Prints a line that `./check` counts: a test that could not run here.
#[expect(clippy::print_stdout, reason = "./check counts these lines")]
fn skipped(reason: &str) {
    println!("SKIPPED: {reason}");
}

/// Prints a line that `./check` counts: a test that was not requested.
#[expect(clippy::print_stdout, reason = "./check counts these lines")]
fn not_run(reason: &str) {
    println!("NOT RUN: {reason}");
}
