//! The receivers of alerts, and the body of a webhook.

use jiff::civil::Time;
use s3up_cli::{RequestError, SecretUrl};

use crate::alert::Alert;
use crate::mail::MailSettings;

const PROGRAM: &str = concat!("s3up-server/", env!("CARGO_PKG_VERSION"));

/// The receivers of alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    pub webhook_url: Option<SecretUrl>,
    pub mail: Option<MailSettings>,
    pub ping_url: Option<SecretUrl>,
    /// Time of the daily report, UTC. `None`: there is none.
    pub report_at: Option<Time>,
}

/// Sends an alert. It is delivered once the receiver has answered with a success status.
pub(crate) async fn send(url: &SecretUrl, alert: &Alert) -> Result<(), RequestError> {
    url.post_json(PROGRAM, &alert.body()).await
}

/// Tells a dead man's switch that the gateway works.
pub(crate) async fn ping(url: &SecretUrl) -> Result<(), RequestError> {
    url.get(PROGRAM).await
}
