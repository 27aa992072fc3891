//! Sends a report to the gateway.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Url};
use s3up_cli::Secret;
use s3up_core::wire::{Accepted, BackupReport};
use s3up_gateway_client::address::{self, KeyFormatError};
use s3up_gateway_client::error::{ClientError, GatewayError};
use s3up_gateway_client::http::{self, GatewayAccess};
use s3up_gateway_client::{key_file, response};

const PROGRAM: &str = concat!("btrfs-to-s3/", env!("CARGO_PKG_VERSION"));
/// Pauses before the second and the third attempt. A gateway that restarts is back by then, and after a
/// longer outage the next run has newer facts.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Time for one attempt, with its connection.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(20);

/// The gateway that takes reports.
#[derive(Clone, Debug)]
pub struct ReportSettings {
    pub url: Url,
    /// File with the client key. It is read for each report, so that a renewed key is used at once.
    pub key_file: PathBuf,
    /// If set, no other certificate authority is trusted.
    pub ca_file: Option<PathBuf>,
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("read report.key_file {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("report.key_file {path:?}")]
    Format { path: PathBuf, source: KeyFormatError },
}

/// The reason why a report was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("the gateway did not answer within {} s", ATTEMPT_TIME_MAX.as_secs())]
    Slow,
}

impl ReportSettings {
    /// Reads the key of the client.
    pub fn read_key(&self) -> Result<Secret, KeyFileError> {
        let path = || self.key_file.clone();
        let key = key_file::read_key(&self.key_file)
            .map_err(|source| KeyFileError::Read { path: path(), source })?;
        match address::check_key(&key) {
            Ok(()) => Ok(key),
            Err(source) => Err(KeyFileError::Format { path: path(), source }),
        }
    }

    /// Sends a report, with a few attempts.
    pub async fn deliver(&self, report: &BackupReport) -> Result<(), DeliveryError> {
        let (url, ca_file) = (self.url.clone(), self.ca_file.clone());
        let access = GatewayAccess { url, api_key: self.read_key()?, ca_file };
        let client = http::client(&access, PROGRAM)?;
        let url = format!("{}/backup-report", access.base());
        for pause in PAUSES {
            match attempt(&client, &url, report).await {
                Err(err) if is_passing(&err) => tokio::time::sleep(pause).await,
                ended => return ended,
            }
        }
        attempt(&client, &url, report).await
    }
}

async fn attempt(client: &Client, url: &str, report: &BackupReport) -> Result<(), DeliveryError> {
    let answered = async {
        let answer = http::send(client.post(url).json(report)).await?;
        let _: Accepted = response::json(answer).await?;
        Ok(())
    };
    match tokio::time::timeout(ATTEMPT_TIME_MAX, answered).await {
        Ok(ended) => ended,
        Err(_) => Err(DeliveryError::Slow),
    }
}

/// Returns true if another attempt may succeed.
fn is_passing(err: &DeliveryError) -> bool {
    match err {
        DeliveryError::Gateway(
            GatewayError::Refused(refusal) | GatewayError::NotTheGateway(refusal),
        ) => refusal.status >= 500 || refusal.status == 429,
        DeliveryError::Gateway(GatewayError::Unreachable(_) | GatewayError::Stalled(_)) => true,
        DeliveryError::Gateway(
            GatewayError::Redirected { .. }
            | GatewayError::Handshake(_)
            | GatewayError::InvalidAnswer { .. },
        )
        | DeliveryError::Key(_)
        | DeliveryError::Client(_)
        | DeliveryError::Slow => false,
    }
}
