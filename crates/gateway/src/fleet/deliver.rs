//! Delivers alerts by each channel, and tells a dead man's switch that the gateway works.

use std::time::Duration;

use s3up_cli::{RequestError, SecretUrl};
use s3up_core::error_chain;

use super::database_outage::DatabaseOutage;
use crate::alert::{Alert, Channel};
use crate::clock::Millis;
use crate::gateway::Gateway;
use crate::mail::{MailError, MailSettings};
use crate::webhook;

/// Pause between two checks for alerts.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// The shortest interval that services which expect pings know.
const PING_EVERY: Duration = Duration::from_secs(60);

/// The receiver of the alerts of a channel.
enum Receiver {
    Webhook(SecretUrl),
    Mail(MailSettings),
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Webhook(#[from] RequestError),
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl Receiver {
    /// Returns the receiver that the live configuration has for a channel.
    fn of(gateway: &Gateway, channel: Channel) -> Option<Receiver> {
        let alerts = gateway.live().alerts.clone();
        match channel {
            Channel::Webhook => alerts.webhook_url.map(Receiver::Webhook),
            Channel::Mail => alerts.mail.map(Receiver::Mail),
        }
    }

    fn host(&self) -> &str {
        match self {
            Receiver::Webhook(url) => url.host(),
            Receiver::Mail(settings) => settings.host(),
        }
    }

    async fn send(&self, alert: &Alert) -> Result<(), SendError> {
        match self {
            Receiver::Webhook(url) => Ok(webhook::send(url, alert).await?),
            Receiver::Mail(settings) => Ok(settings.send(alert).await?),
        }
    }
}

/// Delivers alerts by one channel until the gateway stops. Never returns.
pub(crate) async fn deliver_all(gateway: Gateway, channel: Channel) {
    let mut delivery = Delivery::by(channel);
    loop {
        delivery.deliver_once(&gateway, gateway.database().now()).await;
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

/// The deliveries by one channel.
pub(super) struct Delivery {
    channel: Channel,
    /// True while the receiver does not take alerts.
    is_failing: bool,
    outage: DatabaseOutage,
}

impl Delivery {
    pub(super) fn by(channel: Channel) -> Delivery {
        Delivery { channel, is_failing: false, outage: DatabaseOutage::default() }
    }

    /// Delivers the alerts that are due at `now`.
    pub(super) async fn deliver_once(&mut self, gateway: &Gateway, now: Millis) {
        // A reload may change the receiver. Without one, alerts wait.
        let Some(receiver) = Receiver::of(gateway, self.channel) else { return };
        self.deliver_recorded(gateway, &receiver, now).await;
        let is_ready = gateway.database().is_ready().await;
        if let Some(alert) = self.outage.alert(is_ready, now) {
            self.deliver_outage(&receiver, &alert).await;
        }
    }

    /// Sends the alert of a database outage directly, because the database cannot hold it. So each gateway
    /// sends its own.
    async fn deliver_outage(&mut self, receiver: &Receiver, alert: &Alert) {
        let (host, channel, id) = (receiver.host(), self.channel.as_str(), &alert.id);
        match receiver.send(alert).await {
            Ok(()) => {
                self.outage.delivered(alert);
                tracing::info!(event = "alert_delivered", channel, %host, id, client = alert.subject);
            }
            Err(err) => {
                let error = error_chain(&err);
                tracing::debug!(event = "alert_not_delivered", channel, %host, id, error, "trying again");
            }
        }
    }

    async fn deliver_recorded(&mut self, gateway: &Gateway, receiver: &Receiver, now: Millis) {
        let (database, channel) = (gateway.database(), self.channel);
        // The error is reported by those who need an answer; the alerts wait.
        let Ok(alerts) = database.undelivered_alerts(channel).await else { return };
        for alert in alerts.iter().filter(|alert| alert.is_due(now)) {
            // Another gateway may have taken it meanwhile.
            if !database.claim_alert(alert, channel).await.unwrap_or(false) {
                continue;
            }
            let (host, id, client) = (receiver.host(), &alert.id, &alert.subject);
            let channel_name = channel.as_str();
            match receiver.send(alert).await {
                Ok(()) => {
                    self.is_failing = false;
                    let recorded = database.alert_delivered(alert, channel).await;
                    tracing::info!(event = "alert_delivered", channel = channel_name, %host, id, client);
                    if let Err(err) = recorded {
                        let error = error_chain(&err);
                        tracing::warn!(
                            event = "alert_not_recorded",
                            id,
                            error,
                            "the alert was delivered and will be sent again"
                        );
                    }
                }
                Err(err) => {
                    let error = error_chain(&err);
                    if !self.is_failing {
                        tracing::error!(
                            event = "alert_not_delivered",
                            channel = channel_name,
                            %host,
                            id,
                            client,
                            error,
                            "alerts wait until the receiver works; check `alerts` in server.yaml"
                        );
                    }
                    self.is_failing = true;
                }
            }
        }
    }
}

/// Pings `alerts.ping_url` while the gateway is ready, until it stops. Never returns.
pub(crate) async fn ping_all(gateway: Gateway) {
    let mut is_failing = false;
    loop {
        let url = gateway.live().alerts.ping_url.clone();
        if let Some(url) = url
            && gateway.readiness().await.ready
        {
            let pinged = webhook::ping(&url).await;
            if let Err(err) = &pinged
                && !is_failing
            {
                let (host, error) = (url.host(), error_chain(err));
                tracing::warn!(event = "ping_failed", %host, error, "check `alerts.ping_url`");
            }
            is_failing = pinged.is_err();
        }
        tokio::time::sleep(PING_EVERY).await;
    }
}
