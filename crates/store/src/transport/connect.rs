//! The [`Store`]: made from its settings, and shared by all calls.

use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::buffers::paired_hasher::PairedHasher;
use crate::buffers::pool::Pool;
use crate::error::ConnectError;
use crate::not_aborted::NotAborted;
use crate::open_uploads::OpenUploads;
use crate::settings::{Profile, Settings};
use crate::transport::bandwidth::BandwidthLimit;
use crate::transport::call_counters::{CallCounters, CallTotals};
use crate::transport::capabilities::Learned;
use crate::transport::checksums::Checksums;
use crate::transport::credentials::RenewableCredentials;
use crate::transport::reachability::Reachability;
use crate::transport::request_form::RequestForms;
use crate::transport::throttle::Throttle;

/// A bucket and everything that is needed to upload to it and download from it.
/// Clones are cheap, and share connections, buffers, limits and what was learned
/// about the server.
#[derive(Clone)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) credentials: RenewableCredentials,
    pub(crate) request_forms: RequestForms,
    pub(crate) pool: Pool,
    pub(crate) checksums: Arc<Checksums>,
    pub(crate) learned: Arc<Learned>,
    pub(crate) probed: Arc<ProbeState>,
    pub(crate) throttle: Throttle,
    pub(crate) call_counters: CallCounters,
    pub(crate) reachability: Reachability,
    pub(crate) upload_limit: BandwidthLimit,
    pub(crate) download_limit: BandwidthLimit,
    pub(crate) open_uploads: OpenUploads,
    pub(crate) hasher: PairedHasher,
    /// Detached tasks that abort dropped uploads.
    pub(crate) aborts: TaskTracker,
    pub(crate) not_aborted: NotAborted,
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
        let (client, credentials, request_forms) = client(&settings).await?;
        Ok(Store {
            client,
            credentials,
            request_forms,
            pool: Pool::new(settings.buffer_budget_bytes),
            checksums: Arc::new(Checksums::of(settings.profile)),
            learned: Arc::new(Learned::of(settings.profile)),
            probed: Arc::default(),
            upload_limit: BandwidthLimit::new(settings.bandwidth.upload_bytes_per_second),
            download_limit: BandwidthLimit::new(settings.bandwidth.download_bytes_per_second),
            settings: Arc::new(settings),
            throttle: Throttle::default(),
            call_counters: CallCounters::default(),
            reachability: Reachability::default(),
            open_uploads: OpenUploads::default(),
            hasher: PairedHasher::new(),
            aborts: TaskTracker::new(),
            not_aborted: NotAborted::default(),
        })
    }

    /// Returns a store for the same bucket with other settings. It shares buffers, limits and what
    /// was learned about the server; its connections and credentials are its own. Server, region,
    /// bucket, profile, buffer budget and bandwidth stay as they are.
    pub async fn reconnect(&self, settings: Settings) -> Result<Store, ConnectError> {
        let now = &self.settings;
        let settings = Settings {
            endpoint: now.endpoint.clone(),
            region: now.region.clone(),
            bucket: now.bucket.clone(),
            profile: now.profile,
            buffer_budget_bytes: now.buffer_budget_bytes,
            bandwidth: now.bandwidth,
            ..settings
        };
        let (client, credentials, request_forms) = client(&settings).await?;
        let settings = Arc::new(settings);
        Ok(Store { client, credentials, request_forms, settings, ..self.clone() })
    }

    /// Returns the settings of this store.
    pub fn settings(&self) -> &Settings {
        &self.settings
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

    /// Returns the numbers of the calls to S3 since the start.
    pub fn call_totals(&self) -> CallTotals {
        self.call_counters.totals()
    }

    /// Returns the time for which no call to S3 was answered, if S3 is known to be away.
    pub fn away_for(&self) -> Option<Duration> {
        self.reachability.away_for()
    }

    /// Returns the buffer pool of this store.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

async fn client(
    settings: &Settings,
) -> Result<(Client, RenewableCredentials, RequestForms), ConnectError> {
    let http = tls::Provider::Rustls(CryptoMode::AwsLc);
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new()
        .tls_provider(http)
        .tls_context(tls_context(settings)?)
        .build_https();
    let credentials = RenewableCredentials::of(settings, http.clone()).await;
    let request_forms = RequestForms::default();
    let base = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(request_forms.observe(http))
        .credentials_provider(credentials.clone())
        // Its own cache is the one that can be renewed.
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(settings.timeouts.connect).build())
        // It would end transfers over slow uplinks. We have a limit per part
        // instead.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let mut config = aws_sdk_s3::config::Builder::from(&base.load().await)
        // This crate sends and checks checksums itself (see `capabilities`).
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.profile == Profile::Generic);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok((Client::from_conf(config.build()), credentials, request_forms))
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
