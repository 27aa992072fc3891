//! Time limits for calls to the gateway.

use std::time::Duration;

pub const CONNECT: Duration = Duration::from_secs(20);

/// Longest time without progress of a call that needs at most one request to S3.
pub const IDLE: Duration = Duration::from_secs(120);

/// Time after which an idle connection is probed, and time without an answer of the peer's kernel
/// after which it is given up: a host that vanished is noticed long before a long upload is.
pub const KEEPALIVE: Duration = Duration::from_secs(30);
pub const PEER_GONE: Duration = Duration::from_secs(60);

/// Time that a connection stays open without a request. Shorter than the 10 s of
/// the gateway, so that no upload starts on a connection that is being closed.
pub const POOL_IDLE: Duration = Duration::from_secs(8);
