//! The state of the gateway as the agent sees it, for `s3up status`.
//!
//! Pure: the time is a parameter.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayState {
    pub status: GatewayStatus,
    /// Unix seconds.
    pub since: i64,
    /// The first error of this state.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayStatus {
    Ok,
    /// The gateway cannot be reached, or fails every call.
    // Older agents recorded this word.
    #[serde(alias = "away")]
    Unavailable,
    /// The gateway does not accept the client key.
    KeyRefused,
}

impl GatewayStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            GatewayStatus::Ok => "ok",
            GatewayStatus::Unavailable => "unavailable",
            GatewayStatus::KeyRefused => "key refused",
        }
    }
}

/// Returns the state after a call to the gateway, if it is another one.
pub fn after_call(
    before: Option<&GatewayState>,
    status: GatewayStatus,
    reason: Option<&str>,
    at: i64,
) -> Option<GatewayState> {
    if before.is_some_and(|before| before.status == status) {
        return None;
    }
    Some(GatewayState { status, since: at, reason: reason.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lasts_until_a_call_shows_another_one() {
        use GatewayStatus::{KeyRefused, Ok, Unavailable};
        #[rustfmt::skip]
        let calls = [
            // at  status       reason        state since then
            (10,   Ok,          None,         (Ok, 10, None)),
            (20,   Ok,          None,         (Ok, 10, None)),
            (30,   Unavailable, Some("down"), (Unavailable, 30, Some("down"))),
            (40,   Unavailable, Some("slow"), (Unavailable, 30, Some("down"))),
            (50,   KeyRefused,  Some("401"),  (KeyRefused, 50, Some("401"))),
            (60,   Ok,          None,         (Ok, 60, None)),
        ];
        let mut state = None;
        for (at, status, reason, want) in calls {
            state = after_call(state.as_ref(), status, reason, at).or(state);
            let GatewayState { status, since, reason } = state.clone().unwrap();
            assert_eq!((status, since, reason.as_deref()), want, "at {at}");
        }
    }
}
