//! From settings to a [`Store`] that can be used.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::bandwidth::Line;
use crate::conditions::Conditions;
use crate::dialect::{Checksums, Profile};
use crate::error::ConnectError;
use crate::orphans::Begun;
use crate::pairs::Pairs;
use crate::pool::Pool;
use crate::settings::{Credentials, Settings};
use crate::throttle::Throttle;

/// A bucket, and everything needed to move bytes into it and out of it.
/// Cheap to clone: clones share connections, buffers and what was learned.
#[derive(Clone)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Pool,
    pub(crate) checksums: Arc<Checksums>,
    pub(crate) conditions: Arc<OnceCell<Conditions>>,
    pub(crate) throttle: Throttle,
    pub(crate) uploads: Line,
    pub(crate) downloads: Line,
    pub(crate) begun: Begun,
    pub(crate) pairs: Pairs,
    /// Aborts of uploads that were dropped.
    pub(crate) cleanups: TaskTracker,
}

impl Store {
    /// Makes the client. No request is sent: [`Store::probe`] does that.
    pub async fn connect(settings: Settings) -> Result<Store, ConnectError> {
        let http = tls::Provider::Rustls(CryptoMode::AwsLc);
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(http)
            .tls_context(tls_context(&settings)?)
            .build_https();
        let base = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(settings.patience.connect).build(),
            )
            // It ends transfers over slow uplinks; our own limits are per part.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let base = match &settings.credentials {
            Credentials::Explicit { access_key_id, secret_access_key } => base
                .credentials_provider(aws_sdk_s3::config::Credentials::new(
                    access_key_id,
                    secret_access_key,
                    None,
                    None,
                    "configuration",
                )),
            Credentials::Found => base,
        };
        let mut config = aws_sdk_s3::config::Builder::from(&base.load().await)
            // The engine sends and checks checksums itself (see `dialect`).
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(settings.profile == Profile::Generic);
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Store {
            client: Client::from_conf(config.build()),
            pool: Pool::new(settings.buffer_budget_bytes),
            checksums: Arc::new(Checksums::of(settings.profile)),
            conditions: Arc::new(OnceCell::new_with(Conditions::of(settings.profile))),
            uploads: Line::new(settings.bandwidth.upload_bytes_per_second),
            downloads: Line::new(settings.bandwidth.download_bytes_per_second),
            settings: Arc::new(settings),
            throttle: Throttle::default(),
            begun: Begun::default(),
            pairs: Pairs::new(),
            cleanups: TaskTracker::new(),
        })
    }

    /// The same bucket and connections, with buffers of its own.
    pub fn with_buffer_budget(&self, bytes: u64) -> Store {
        Store { pool: Pool::new(bytes), ..self.clone() }
    }

    pub fn bucket(&self) -> &str {
        &self.settings.bucket
    }

    /// Waits until uploads that were dropped are removed. For the end of a
    /// process: later uploads are not waited for.
    pub async fn settle(&self) {
        self.cleanups.close();
        self.cleanups.wait().await;
    }

    /// The buffers of this process.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

fn tls_context(settings: &Settings) -> Result<TlsContext, ConnectError> {
    let mut context = TlsContext::builder();
    let mut name = "the system".to_owned();
    if let Some(path) = &settings.ca_file {
        name = path.display().to_string();
        let pem = std::fs::read(path)
            .map_err(|source| ConnectError::CaFile { path: name.clone(), source })?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            let what = "no certificate in PEM form".to_owned();
            return Err(ConnectError::CaContent { path: name, what });
        }
        context = context.with_trust_store(TrustStore::empty().with_pem_certificate(pem));
    }
    context.build().map_err(|err| ConnectError::CaContent { path: name, what: err.to_string() })
}
