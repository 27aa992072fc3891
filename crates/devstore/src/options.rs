//! What a [`DevStore`](crate::DevStore) is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use s3up_core::part::PART_BYTES_MIN;

#[derive(Clone)]
pub struct Options {
    /// Everything is kept here; made if it does not exist.
    pub root: PathBuf,
    pub listen: SocketAddr,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// A shorter part that is not the last is refused; S3 says 5 MiB, a test
    /// may say less.
    pub part_bytes_min: u64,
    /// How long a restore of an archived object takes; S3 takes minutes to
    /// days.
    pub restore_delay: Duration,
    pub conditions: Conditions,
    /// How far behind the machine's the clock is, until it is moved ahead: what
    /// is stored meanwhile is old for those who look at the machine's.
    pub clock_behind: Duration,
}

/// What becomes of `If-Match` and `If-None-Match` on writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// As S3 does.
    Honoured,
    /// The write is done without a word, as some servers do.
    Ignored,
}

impl Options {
    /// The only one.
    pub const REGION: &str = "us-east-1";
    pub const ACCESS_KEY_ID: &str = "devstore";
    pub const SECRET_ACCESS_KEY: &str = "devstore-secret";

    /// Loopback, any free port, the well-known credentials, the limits of S3,
    /// conditions as S3 has them, and archives that restore at once.
    pub fn new(root: impl Into<PathBuf>) -> Options {
        Options {
            root: root.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key_id: Options::ACCESS_KEY_ID.to_owned(),
            secret_access_key: Options::SECRET_ACCESS_KEY.to_owned(),
            part_bytes_min: PART_BYTES_MIN,
            restore_delay: Duration::ZERO,
            conditions: Conditions::Honoured,
            clock_behind: Duration::ZERO,
        }
    }
}
