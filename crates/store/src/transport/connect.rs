//! The [`Store`]: made from its settings, and shared by all calls.

use std::sync::Arc;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::buffers::paired_hasher::PairedHasher;
use crate::buffers::pool::Pool;
use crate::error::ConnectError;
use crate::open_uploads::OpenUploads;
use crate::settings::{Credentials, Profile, Settings};
use crate::transport::bandwidth::BandwidthLimit;
use crate::transport::capabilities::Learned;
use crate::transport::checksums::Checksums;
use crate::transport::throttle::Throttle;

/// A bucket and everything that is needed to upload to it and download from it.
/// Clones are cheap, and share connections, buffers, limits and what was learned
/// about the server.
#[derive(Clone)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Pool,
    pub(crate) checksums: Arc<Checksums>,
    pub(crate) learned: Arc<Learned>,
    pub(crate) probed: Arc<ProbeState>,
    pub(crate) throttle: Throttle,
    pub(crate) upload_limit: BandwidthLimit,
    pub(crate) download_limit: BandwidthLimit,
    pub(crate) open_uploads: OpenUploads,
    pub(crate) hasher: PairedHasher,
    /// Detached tasks that abort dropped uploads.
    pub(crate) aborts: TaskTracker,
}

/// The probes that were made; each is made until it succeeds.
#[derive(Default)]
pub(crate) struct ProbeState {
    pub puts: OnceCell<()>,
    pub completions: OnceCell<()>,
}

impl Store {
    /// Creates the client without sending a request; [`Store::probe`] sends the
    /// first.
    pub async fn connect(settings: Settings) -> Result<Store, ConnectError> {
        let http = tls::Provider::Rustls(CryptoMode::AwsLc);
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(http)
            .tls_context(tls_context(&settings)?)
            .build_https();
        let local = local_credentials(http.clone());
        let base = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(settings.timeouts.connect).build(),
            )
            // It would end transfers over slow uplinks. We have a limit per part
            // instead.
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
            Credentials::DefaultChain if settings.endpoint.is_some() => {
                base.credentials_provider(local)
            }
            Credentials::DefaultChain => base,
        };
        let mut config = aws_sdk_s3::config::Builder::from(&base.load().await)
            // This crate sends and checks checksums itself (see `capabilities`).
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
            learned: Arc::new(Learned::of(settings.profile)),
            probed: Arc::default(),
            upload_limit: BandwidthLimit::new(settings.bandwidth.upload_bytes_per_second),
            download_limit: BandwidthLimit::new(settings.bandwidth.download_bytes_per_second),
            settings: Arc::new(settings),
            throttle: Throttle::default(),
            open_uploads: OpenUploads::default(),
            hasher: PairedHasher::new(),
            aborts: TaskTracker::new(),
        })
    }

    /// Returns a store with the same bucket and connections, and a buffer pool of
    /// its own.
    pub fn with_buffer_budget(&self, bytes: u64) -> Store {
        Store { pool: Pool::new(bytes), ..self.clone() }
    }

    pub fn bucket(&self) -> &str {
        &self.settings.bucket
    }

    /// Waits until all dropped uploads are aborted. For the end of a process: it
    /// does not wait for uploads that are dropped later.
    pub async fn wait_for_aborts(&self) {
        self.aborts.close();
        self.aborts.wait().await;
    }

    /// Returns the buffer pool of this store.
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
            let what = "expected a certificate in PEM format, found none".to_owned();
            return Err(ConnectError::CaContent { path: name, what });
        }
        context = context.with_trust_store(TrustStore::empty().with_pem_certificate(pem));
    }
    context.build().map_err(|err| ConnectError::CaContent { path: name, what: err.to_string() })
}

/// Returns the credentials of the environment, a profile or a web identity. Unlike the SDK's
/// default chain it does not ask the metadata address, which only AWS has: elsewhere no
/// request is answered, and the lack of credentials would show after many seconds.
fn local_credentials(http: impl HttpClient + 'static) -> CredentialsProviderChain {
    let config = ProviderConfig::without_region().with_http_client(http);
    let profile = ProfileFileCredentialsProvider::builder().configure(&config).build();
    let identity = WebIdentityTokenCredentialsProvider::builder().configure(&config).build();
    CredentialsProviderChain::first_try(
        "environment",
        EnvironmentVariableCredentialsProvider::new(),
    )
    .or_else("profile", profile)
    .or_else("web identity", identity)
}
