//! Alerts by mail.
//!
//! Each alert is one message.

use std::time::Duration;

use lettre::address::AddressError;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use s3up_cli::Secret;

use crate::alert::Alert;

/// Limit of a whole exchange.
const TIME_MAX: Duration = Duration::from_secs(30);

/// The protection of the connection to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte, usually port 465.
    Implicit,
    /// STARTTLS, without which nothing is sent; usually port 587.
    Starttls,
    /// None. Only for a server on this host.
    None,
}

/// A mail server, and the addresses of the messages.
#[derive(Clone, Debug)]
pub struct MailSettings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: MailTls,
    pub(crate) from: Mailbox,
    pub(crate) to: Vec<Mailbox>,
    pub(crate) user: Option<(String, Secret)>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("format the mail")]
    Format(#[from] lettre::error::Error),
    #[error("send the mail by the server of `alerts.mail`")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the server of `alerts.mail` did not answer within {} s", TIME_MAX.as_secs())]
    TimedOut,
}

/// Parses an address like `ops@example.org` or `Ops <ops@example.org>`.
pub(crate) fn parse_address(text: &str) -> Result<Mailbox, AddressError> {
    text.parse()
}

impl MailSettings {
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Sends an alert. It is delivered once the server has accepted it for all receivers.
    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), MailError> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(alert.mail_subject())
            // A message that is sent twice has one ID, so that a mail program can show it once.
            .message_id(Some(format!("<{}@s3up.invalid>", alert.id)));
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message.body(alert.mail_text())?;
        let transport = match self.tls {
            MailTls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(&self.host)?,
            MailTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&self.host)?,
            MailTls::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host),
        };
        let mut transport = transport.port(self.port).timeout(Some(TIME_MAX));
        if let Some((name, password)) = &self.user {
            let password = password.expose().to_owned();
            transport = transport.credentials(Credentials::new(name.clone(), password));
        }
        let sent = tokio::time::timeout(TIME_MAX, transport.build().send(message)).await;
        sent.map_err(|_| MailError::TimedOut)??;
        Ok(())
    }
}
