//! Delivers alerts, and tells a dead man's switch that the gateway works.

use std::time::Duration;

use s3up_core::error_chain;

use crate::gateway::Gateway;
use crate::webhook::AlertUrl;

/// Pause between two looks for alerts.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(60);

/// Delivers alerts until the gateway stops. Never returns.
pub(crate) async fn deliver_all(gateway: Gateway) {
    let mut is_failing = false;
    loop {
        // A reload may change the URL. Without one, alerts wait.
        if let Some(url) = gateway.live().alerts.webhook_url.clone() {
            is_failing = deliver(&gateway, &url, is_failing).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Delivers the alerts that are due. Returns true if the receiver does not take them.
async fn deliver(gateway: &Gateway, url: &AlertUrl, was_failing: bool) -> bool {
    let database = gateway.database();
    // The error is reported by those who need an answer; the alerts wait.
    let Ok(alerts) = database.undelivered_alerts().await else { return was_failing };
    let mut is_failing = was_failing;
    for alert in alerts.iter().filter(|alert| alert.is_due(database.now())) {
        // Another gateway may have taken it meanwhile.
        if !database.claim_alert(alert).await.unwrap_or(false) {
            continue;
        }
        let (host, id, client) = (url.host(), &alert.id, &alert.client);
        match url.send(alert).await {
            Ok(()) => {
                is_failing = false;
                tracing::info!(event = "alert_delivered", %host, id, client);
                if let Err(err) = database.alert_delivered(alert).await {
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
                if !is_failing {
                    tracing::error!(
                        event = "alert_not_delivered",
                        %host,
                        id,
                        client,
                        error,
                        "alerts wait until the receiver works; check `alerts.webhook_url`"
                    );
                }
                is_failing = true;
            }
        }
    }
    is_failing
}

/// Pings `alerts.ping_url` while the gateway is ready, until it stops. Never returns.
pub(crate) async fn ping_all(gateway: Gateway) {
    let mut is_failing = false;
    loop {
        let url = gateway.live().alerts.ping_url.clone();
        if let Some(url) = url
            && gateway.readiness().await.ready
        {
            let pinged = url.ping().await;
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
