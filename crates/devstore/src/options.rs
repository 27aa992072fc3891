//! The options of a [`DevStore`](crate::DevStore).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use s3up_core::part::PART_BYTES_MIN;

use crate::behaviours::Behaviours;

#[derive(Clone)]
pub struct Options {
    /// Directory that contains all data. It is created if it does not exist.
    pub root: PathBuf,
    pub listen: SocketAddr,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Minimum length of a part that is not the last one: 5 MiB in S3. A test may
    /// allow shorter ones.
    pub part_bytes_min: u64,
    /// Duration of a restore of an archived object. In S3 it takes minutes to
    /// days.
    pub restore_delay: Duration,
    /// Behaviours in which other servers differ from S3.
    pub behaviours: Behaviours,
    /// Time by which the clock of the server is behind that of the machine at start. A client takes
    /// a new object for that old.
    pub clock_behind: Duration,
}

impl Options {
    /// The only region of the server.
    pub const REGION: &str = "us-east-1";
    pub const ACCESS_KEY_ID: &str = "devstore";
    pub const SECRET_ACCESS_KEY: &str = "devstore-secret";

    /// Returns the defaults: loopback, any free port, well-known credentials, the
    /// limits and behaviours of S3, and restores that finish immediately.
    pub fn new(root: impl Into<PathBuf>) -> Options {
        Options {
            root: root.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key_id: Options::ACCESS_KEY_ID.to_owned(),
            secret_access_key: Options::SECRET_ACCESS_KEY.to_owned(),
            part_bytes_min: PART_BYTES_MIN,
            restore_delay: Duration::ZERO,
            behaviours: Behaviours::default(),
            clock_behind: Duration::ZERO,
        }
    }
}
