//! A complaint: a state that is not well, with its reason. Also the threshold at which it ends.

use std::time::Duration;

use s3up_core::wire::ClientState;

/// A state that is not well, with its reason; `None` if all is well.
pub(super) type Complaint = Option<(ClientState, String)>;

/// Returns the threshold that ends a state: three quarters of the one that begins it.
pub(super) fn exit_threshold(threshold: Duration, is_in_state: bool) -> Duration {
    if is_in_state { threshold * 3 / 4 } else { threshold }
}
