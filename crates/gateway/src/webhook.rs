//! Requests to the URLs of `alerts`. A URL is a secret: logs name its host only.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use s3up_cli::Secret;

use crate::alert::Alert;
use crate::mail::MailSettings;

/// Limit of a whole exchange.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The receivers of alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    pub webhook_url: Option<AlertUrl>,
    pub mail: Option<MailSettings>,
    pub ping_url: Option<AlertUrl>,
}

/// A URL with its host.
#[derive(Clone, Debug)]
pub struct AlertUrl {
    url: Secret,
    host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL with http:// or https:// and a host")]
pub struct AlertUrlError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("expected a success status, found {0}")]
    Status(reqwest::StatusCode),
    #[error(transparent)]
    Url(#[from] AlertUrlError),
}

impl AlertUrl {
    pub fn new(url: Secret) -> Result<AlertUrl, AlertUrlError> {
        let host = parse(&url)?.host_str().ok_or(AlertUrlError)?.to_owned();
        Ok(AlertUrl { url, host })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Sends an alert. It is delivered once the receiver has answered with a success status.
    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), WebhookError> {
        let request = client()?.post(parse(&self.url)?).json(&alert.body());
        finish(request).await
    }

    /// Tells a dead man's switch that the gateway works.
    pub(crate) async fn ping(&self) -> Result<(), WebhookError> {
        finish(client()?.get(parse(&self.url)?)).await
    }
}

fn client() -> Result<Client, WebhookError> {
    let client = Client::builder()
        .user_agent(concat!("s3up-server/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(TIME_MAX);
    Ok(client.build()?)
}

async fn finish(request: reqwest::RequestBuilder) -> Result<(), WebhookError> {
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    if answer.status().is_success() { Ok(()) } else { Err(WebhookError::Status(answer.status())) }
}

fn parse(url: &Secret) -> Result<Url, AlertUrlError> {
    let url = Url::parse(url.expose()).map_err(|_| AlertUrlError)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web { Ok(url) } else { Err(AlertUrlError) }
}
