//! A limit that uploads, downloads and bodies in JSON share.

use std::time::Duration;

/// Time that a request waits for memory.
pub(crate) const BUFFER_WAIT: Duration = Duration::from_secs(10);
