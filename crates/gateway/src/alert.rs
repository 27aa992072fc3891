//! Alerts: messages to the operator when a client is no longer safe, and when it is again. Pure.
//!
//! An alert is written in the transaction that records the change of a state, by the gateway whose
//! transaction changes it. So there is one for each change, whatever number of gateways share the
//! database, and a restart loses none.

use std::time::Duration;

use s3up_core::ClientName;
use s3up_core::wire::ClientState;
use serde::Serialize;

use crate::clock::{Millis, time_text};

const FIRST_RETRY: Duration = Duration::from_secs(15);
/// A receiver that works again must be noticed.
const RETRY_MAX: Duration = Duration::from_secs(10 * 60);

/// A way to reach the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Webhook,
    Mail,
}

impl Channel {
    pub(crate) const ALL: [Channel; 2] = [Channel::Webhook, Channel::Mail];

    /// Returns the name of the channel in the database and in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Channel::Webhook => "webhook",
            Channel::Mail => "mail",
        }
    }
}

/// An alert that has to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub id: String,
    pub client: String,
    pub state: ClientState,
    pub before: Option<ClientState>,
    pub reason: Option<String>,
    pub at: Millis,
    /// Number of attempts to deliver it that failed.
    pub attempts: u32,
    pub tried_at: Millis,
}

/// The body of the request to `alerts.webhook_url`.
#[derive(Debug, Serialize)]
pub(crate) struct WebhookBody<'a> {
    pub id: &'a str,
    pub client: &'a str,
    pub state: ClientState,
    pub before: Option<ClientState>,
    pub reason: Option<&'a str>,
    /// RFC 3339, UTC.
    pub at: String,
    /// One sentence, under the name that chat programs read.
    pub text: String,
}

/// Returns true if a change of the state is an alert: it got worse, or an incident ended. A client that
/// was configured just now is no incident, and neither is its first contact.
pub(crate) fn is_alert(before: Option<ClientState>, after: ClientState) -> bool {
    match (before, after) {
        (None | Some(ClientState::Never), ClientState::Ok | ClientState::Never) => false,
        (None, _) => true,
        (Some(before), ClientState::Ok) => before != ClientState::Ok,
        (Some(before), after) => after > before,
    }
}

/// Returns the name of an alert, which is the same on all gateways that see the change.
pub(crate) fn alert_id(client: &ClientName, state: ClientState, at: Millis) -> String {
    format!("{client}-{at}-{}", state.as_str())
}

impl Alert {
    /// Returns true if the next attempt to deliver it is due.
    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.attempts == 0 || now.saturating_sub(self.tried_at) >= self.retry_after()
    }

    fn retry_after(&self) -> Millis {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.attempts.saturating_sub(1).min(10));
        i64::try_from(doubled.min(RETRY_MAX).as_millis()).unwrap_or(Millis::MAX)
    }

    pub(crate) fn body(&self) -> WebhookBody<'_> {
        WebhookBody {
            id: &self.id,
            client: &self.client,
            state: self.state,
            before: self.before,
            reason: self.reason.as_deref(),
            at: time_text(self.at),
            text: self.sentence(),
        }
    }

    /// Returns the text of a mail.
    pub(crate) fn mail_text(&self) -> String {
        format!(
            "{}.\n\nTime: {}\n\ns3up-server fleet prints the state of all clients.\n",
            self.sentence(),
            time_text(self.at)
        )
    }

    fn sentence(&self) -> String {
        let before = self.before.map_or("new", ClientState::as_str);
        match &self.reason {
            Some(reason) => format!("{} is {}: {reason}", self.client, self.state.as_str()),
            None => format!("{} is {} again (it was {before})", self.client, self.state.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_a_change_for_the_worse_or_the_end_of_an_incident() {
        use ClientState::{Degraded, Failing, Late, Never, Ok, Silent};
        #[rustfmt::skip]
        let cases = [
            (None,           Ok,       false),
            (None,           Never,    false),
            (None,           Failing,  true),
            (Some(Never),    Ok,       false),
            (Some(Never),    Silent,   true),
            (Some(Ok),       Degraded, true),
            (Some(Degraded), Late,     true),
            (Some(Late),     Silent,   true),
            (Some(Silent),   Late,     false),
            (Some(Late),     Degraded, false),
            (Some(Silent),   Ok,       true),
            (Some(Degraded), Ok,       true),
        ];
        for (before, after, want) in cases {
            assert_eq!(is_alert(before, after), want, "{before:?} {after:?}");
        }
    }

    fn alert(attempts: u32) -> Alert {
        Alert {
            id: "web-5-silent".to_owned(),
            client: "web".to_owned(),
            state: ClientState::Silent,
            before: Some(ClientState::Ok),
            reason: Some("no heartbeat for 26 h".to_owned()),
            at: 5,
            attempts,
            tried_at: 1000,
        }
    }

    #[test]
    fn attempts_get_rarer_and_never_end() {
        for (attempts, wait) in [(1, 15), (2, 30), (3, 60), (6, 480), (7, 600), (1000, 600)] {
            let alert = alert(attempts);
            assert!(!alert.is_due(1000 + wait * 1000 - 1), "{attempts}");
            assert!(alert.is_due(1000 + wait * 1000), "{attempts}");
        }
        assert!(alert(0).is_due(0));
    }

    #[test]
    fn the_sentence_says_what_happened() {
        let silent = alert(0);
        assert_eq!(silent.body().text, "web is silent: no heartbeat for 26 h");
        let before = Some(ClientState::Silent);
        let ended = Alert { state: ClientState::Ok, before, reason: None, ..silent };
        assert_eq!(ended.body().text, "web is ok again (it was silent)");
        assert_eq!(ended.body().at, "1970-01-01T00:00:00Z");
    }
}
