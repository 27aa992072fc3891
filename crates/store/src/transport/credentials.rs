//! The credentials of a store, which can be renewed while it is in use.
//!
//! The cache of the SDK would keep credentials that are not valid any more, and its profile
//! provider reads its files once. So the cache is here: credentials are asked for again before they
//! expire, and [`adopt`](RenewableCredentials::adopt) replaces their source. Every request that starts after
//! that uses the new ones, also those of an upload in progress.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials as Issued;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_s3::config::Region;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::Mutex;

use crate::clock;
use crate::settings::{Credentials, Settings};

/// Time before their end at which credentials are renewed: longer than any request.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Maximum time for a role or an external process to issue credentials.
const ISSUE_WAIT_MAX: Duration = Duration::from_secs(15);

/// The credentials of a store. Clones are the same.
#[derive(Clone)]
pub(crate) struct RenewableCredentials(Arc<RwLock<Arc<Issuer>>>);

/// A source of credentials, with the last ones that it issued.
struct Issuer {
    provider: SharedCredentialsProvider,
    last: Mutex<Option<Issued>>,
}

impl RenewableCredentials {
    pub(crate) async fn of(settings: &Settings, http: SharedHttpClient) -> RenewableCredentials {
        let provider = match &settings.credentials {
            Credentials::Explicit { access_key_id, secret_access_key } => {
                let from = "configuration";
                let issued = Issued::new(access_key_id, secret_access_key, None, None, from);
                SharedCredentialsProvider::new(issued)
            }
            Credentials::DefaultChain if settings.endpoint.is_some() => {
                SharedCredentialsProvider::new(local_credentials(http))
            }
            Credentials::DefaultChain => {
                let region = Region::new(settings.region.clone());
                let config = ProviderConfig::empty()
                    .with_region(Some(region.clone()))
                    .with_http_client(http);
                let chain = DefaultCredentialsChain::builder().configure(config).region(region);
                SharedCredentialsProvider::new(chain.build().await)
            }
        };
        let issuer = Issuer { provider, last: Mutex::default() };
        RenewableCredentials(Arc::new(RwLock::new(Arc::new(issuer))))
    }

    fn issuer(&self) -> Arc<Issuer> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn adopt(&self, other: &RenewableCredentials) {
        let issuer = other.issuer();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = issuer;
    }
}

impl Issuer {
    async fn issue(&self) -> provider::Result {
        let mut last = self.last.lock().await;
        let now = clock::wall_now();
        if let Some(issued) = last.as_ref().filter(|issued| is_valid(issued, now + RENEW_BEFORE)) {
            return Ok(issued.clone());
        }
        let issued = tokio::time::timeout(ISSUE_WAIT_MAX, self.provider.provide_credentials());
        let late = |_| CredentialsError::provider_timed_out(ISSUE_WAIT_MAX);
        match issued.await.map_err(late).flatten() {
            Ok(issued) => Ok(last.insert(issued).clone()),
            // They could not be renewed in time, and are still valid.
            Err(err) => last.clone().filter(|issued| is_valid(issued, now)).ok_or(err),
        }
    }
}

fn is_valid(issued: &Issued, at: SystemTime) -> bool {
    issued.expiry().is_none_or(|end| at < end)
}

impl ProvideCredentials for RenewableCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let issuer = self.issuer();
        future::ProvideCredentials::new(async move { issuer.issue().await })
    }
}

impl fmt::Debug for RenewableCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewableCredentials(***)")
    }
}

/// Returns the credentials of the environment, a profile or a web identity. Unlike the SDK's
/// default chain it does not ask the metadata address, which only AWS has: elsewhere no
/// request is answered, and the lack of credentials would show after many seconds.
fn local_credentials(http: SharedHttpClient) -> CredentialsProviderChain {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Issues credentials of one hour with a number as their key, until it fails.
    #[derive(Debug)]
    struct Numbered {
        issued: AtomicU64,
        lifetime: Option<Duration>,
        count_max: u64,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.issued.fetch_add(1, Ordering::Relaxed);
            let end = self.lifetime.map(|lifetime| clock::wall_now() + lifetime);
            future::ProvideCredentials::ready(if number < self.count_max {
                Ok(Issued::new(number.to_string(), "secret", None, end, "test"))
            } else {
                Err(CredentialsError::not_loaded("no more"))
            })
        }
    }

    fn issuer(lifetime: Option<Duration>, count_max: u64) -> Issuer {
        let provider = Numbered { issued: AtomicU64::new(0), lifetime, count_max };
        let provider = SharedCredentialsProvider::new(provider);
        Issuer { provider, last: Mutex::default() }
    }

    async fn key(issuer: &Issuer) -> Option<String> {
        issuer.issue().await.ok().map(|issued| issued.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_issued_again_before_they_end() {
        let minutes = |count: u64| Some(Duration::from_secs(60 * count));
        #[rustfmt::skip]
        let cases = [
            // lifetime   issued at most  first      second
            (None,        9,              Some("0"), Some("0")),
            (minutes(60), 9,              Some("0"), Some("0")),
            (minutes(4),  9,              Some("0"), Some("1")),
            (minutes(4),  1,              Some("0"), Some("0")),
            (minutes(0),  1,              Some("0"), None),
            (minutes(60), 0,              None,      None),
        ];
        for (lifetime, count_max, first, second) in cases {
            let issuer = issuer(lifetime, count_max);
            let got = (key(&issuer).await, key(&issuer).await);
            assert_eq!((got.0.as_deref(), got.1.as_deref()), (first, second), "{lifetime:?}");
        }
    }

    #[tokio::test]
    async fn adopted_credentials_are_used_by_all_clones() {
        let renewable = |count_max| {
            let issuer = Arc::new(issuer(None, count_max));
            RenewableCredentials(Arc::new(RwLock::new(issuer)))
        };
        let (none, good) = (renewable(0), renewable(1));
        let clone = none.clone();
        assert!(clone.provide_credentials().await.is_err());

        none.adopt(&good);

        assert_eq!(clone.provide_credentials().await.unwrap().access_key_id(), "0");
    }
}
