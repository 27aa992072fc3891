//! Time limits for calls to the gateway.

use std::time::Duration;

pub(super) const CONNECT: Duration = Duration::from_secs(20);

/// Longest time without progress of a transfer. Longer than the gateway retries S3
/// (30 s) and waits for a buffer (10 s) together.
pub(super) const IDLE: Duration = Duration::from_secs(90);

/// Time that a connection stays open without a request. Shorter than the 10 s of
/// the gateway, so that no upload starts on a connection that is being closed.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(8);
