//! Alerts: messages to the operator when something needs attention, and when it does not any more; and the
//! daily report. Pure.
//!
//! An alert is written in the transaction that records the change which it tells, by the gateway whose
//! transaction makes the change. So there is one for each change, whatever number of gateways share the
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

/// The topic of an incident. An incident begins once and ends once; the state of a client is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// A client has nearly used its quota.
    Quota,
    /// The files of a client change as ransomware changes them.
    Changes,
    /// The last good drill of a client is too old.
    Drill,
    /// Many requests have no valid key.
    Authentication,
    /// The certificate of a gateway ends soon.
    Certificate,
    /// The bucket does not keep versions any more.
    Versions,
    /// A lifecycle rule of the bucket deletes files, or versions that were overwritten a short time ago.
    Expiry,
    /// The database of a gateway does not answer.
    Database,
}

impl Topic {
    pub(crate) const ALL: [Topic; 8] = [
        Topic::Quota,
        Topic::Changes,
        Topic::Drill,
        Topic::Authentication,
        Topic::Certificate,
        Topic::Versions,
        Topic::Expiry,
        Topic::Database,
    ];

    /// Returns the name of the topic in the database, in the API and in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Topic::Quota => "quota",
            Topic::Changes => "changes",
            Topic::Drill => "drill",
            Topic::Authentication => "authentication",
            Topic::Certificate => "certificate",
            Topic::Versions => "versions",
            Topic::Expiry => "expiry",
            Topic::Database => "database",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.as_str() == text)
    }

    /// Returns true if the subject of such an incident is a client.
    pub(crate) fn is_of_client(self) -> bool {
        matches!(self, Topic::Quota | Topic::Changes | Topic::Drill)
    }
}

/// The change that an alert tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlertKind {
    State { state: ClientState, before: Option<ClientState> },
    Incident { topic: Topic, is_over: bool },
    DailyReport,
}

/// An alert that has to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub id: String,
    pub kind: AlertKind,
    /// The client, gateway or bucket.
    pub subject: String,
    /// The reason of what happened, or the text of a daily report.
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
    /// `state`, `report`, or the topic of an incident.
    pub topic: &'a str,
    /// The client; absent if the alert is not about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ClientState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<ClientState>,
    /// True if the alert says that an incident ended, or that the client is well again.
    pub is_over: bool,
    pub reason: Option<&'a str>,
    /// RFC 3339, UTC.
    pub at: String,
    /// One sentence, under the name that chat programs read; the whole text of a daily report.
    pub text: String,
}

/// Returns true if a change of the state is an alert: it got worse, or is `ok` again. A client that
/// was configured just now makes no alert, and neither does its first contact.
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

/// Returns the name of the alert for an incident that begins or ends.
pub(crate) fn incident_id(topic: Topic, subject: &str, is_over: bool, at: Millis) -> String {
    let end = if is_over { "over" } else { "begun" };
    let subject = subject.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    format!("{subject}-{at}-{}-{end}", topic.as_str())
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
        let (topic, client, state, before, is_over) = match &self.kind {
            AlertKind::State { state, before } => {
                let is_over = *state == ClientState::Ok;
                ("state", Some(self.subject.as_str()), Some(*state), *before, is_over)
            }
            AlertKind::Incident { topic, is_over } => {
                let client = topic.is_of_client().then_some(self.subject.as_str());
                (topic.as_str(), client, None, None, *is_over)
            }
            AlertKind::DailyReport => ("report", None, None, None, false),
        };
        let (id, reason, at) = (self.id.as_str(), self.reason.as_deref(), time_text(self.at));
        WebhookBody { id, topic, client, state, before, is_over, reason, at, text: self.text() }
    }

    /// Returns the subject of a mail. It is what a person sees on a phone.
    pub(crate) fn mail_subject(&self) -> String {
        match &self.kind {
            AlertKind::State { state, .. } => {
                format!("s3up: {} is {}", self.subject, state.as_str())
            }
            AlertKind::Incident { topic, is_over: false } => {
                format!("s3up: {}: {}", self.subject, topic.as_str())
            }
            AlertKind::Incident { topic, is_over: true } => {
                format!("s3up: {}: {} is over", self.subject, topic.as_str())
            }
            AlertKind::DailyReport => {
                let text = self.text();
                format!("s3up: {}", text.lines().next().unwrap_or("daily report"))
            }
        }
    }

    /// Returns the text of a mail.
    pub(crate) fn mail_text(&self) -> String {
        let (text, at) = (self.text(), time_text(self.at));
        let end = if self.kind == AlertKind::DailyReport { "" } else { "." };
        format!("{text}{end}\n\nTime: {at}\n\ns3up-server fleet prints the state of all clients.\n")
    }

    fn text(&self) -> String {
        let (subject, reason) = (&self.subject, self.reason.as_deref().unwrap_or_default());
        match &self.kind {
            AlertKind::State { state, before } => {
                let before = before.map_or("new", ClientState::as_str);
                match &self.reason {
                    Some(reason) => format!("{subject} is {}: {reason}", state.as_str()),
                    None => format!("{subject} is {} again (it was {before})", state.as_str()),
                }
            }
            AlertKind::Incident { is_over: false, .. } => format!("{subject}: {reason}"),
            AlertKind::Incident { topic, is_over: true } => {
                format!("{subject}: the incident `{}` is over", topic.as_str())
            }
            AlertKind::DailyReport => reason.trim_end().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
