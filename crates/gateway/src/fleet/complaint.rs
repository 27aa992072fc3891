//! A complaint: a state that is not well, with its reason. Also the threshold at which it ends.

use std::time::Duration;

use s3up_core::wire::ClientState;

/// A state that is not well, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) state: ClientState,
    pub(super) reason: String,
}

impl Complaint {
    pub(super) fn new(state: ClientState, reason: impl Into<String>) -> Complaint {
        // PostgreSQL stores no NUL, and a record that it refuses would hold back those of all clients.
        Complaint { state, reason: reason.into().replace('\0', "\u{fffd}") }
    }
}

/// Returns the threshold that ends a state: three quarters of the one that begins it.
pub(super) fn exit_threshold(threshold: Duration, is_in_state: bool) -> Duration {
    if is_in_state { threshold * 3 / 4 } else { threshold }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_no_character_that_a_database_refuses() {
        let complaint = Complaint::new(ClientState::Failing, "a watch\0 of the host");

        assert_eq!(complaint.reason, "a watch\u{fffd} of the host");
    }
}
