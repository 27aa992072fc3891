//! The form of a request about an object: how the SDK addresses this server, learned from an upload or a
//! download that it made.
//!
//! The SDK takes half of the CPU time that a short object costs. So it makes the first call, and the next
//! ones for short objects repeat its form: the same URL but for the key, the same region, connections and
//! header fields. The signature is made by the library that the SDK uses. The SDK remains in charge of
//! everything unusual: a call in the form that is not answered by success is made again by the SDK, which
//! knows the errors, and the form is forgotten until the SDK succeeds again. A form that S3 refuses where it
//! accepts the SDK is not used again.
//!
//! Not here: which calls are made in this way (`upload::form_put`, `objects::short_object`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::{ConfigBag, RuntimeComponents};
use aws_sdk_s3::primitives::SdkBody;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::{Key, Sha256Digest};

/// The characters of a key that its URL has encoded.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The start of the query of an upload or a download of the SDK.
const QUERIES: [&str; 2] = ["x-id=PutObject", "x-id=GetObject"];
/// Maximum number of requests of the SDK that are remembered.
const SENT_MAX: usize = 64;
const USER_AGENT: &str = concat!("s3up/", env!("CARGO_PKG_VERSION"));
const SCHEME: &str = "AWS4-HMAC-SHA256 Credential=";

/// The form of a request about an object of one bucket, and the connections for it.
#[derive(Clone, Debug)]
pub(crate) struct RequestForm {
    /// The URL of an object without its key.
    base_url: String,
    /// The region of the signature.
    region: String,
    pub connector: SharedHttpConnector,
}

/// A call about one object that can be made in the form.
pub(crate) struct FormCall<'a> {
    pub method: &'static str,
    pub key: &'a Key,
    pub version_id: Option<&'a str>,
    /// The header fields without those of the signature.
    pub headers: Vec<(String, String)>,
    /// The body and its SHA-256, if there is one.
    pub body: Option<(Bytes, Sha256Digest)>,
}

/// The form of the requests of a store, once it is known. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestForms(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// True if S3 refused a call in this form, and not the same call by the SDK.
    is_refused: AtomicBool,
    /// The last requests of the SDK, while no form is known.
    sent: Mutex<VecDeque<SentRequest>>,
    learned: RwLock<Option<Arc<RequestForm>>>,
}

/// A request that the SDK sends.
#[derive(Clone, Debug)]
struct SentRequest {
    /// Without its query.
    url: String,
    authorization: String,
    connector: SharedHttpConnector,
}

impl RequestForms {
    /// Returns an HTTP client that shows the requests of the SDK to these forms.
    pub(crate) fn observe(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(ObservedClient { inner, forms: self.clone() })
    }

    pub(crate) fn get(&self) -> Option<Arc<RequestForm>> {
        self.0.learned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Learns the form, after the SDK has stored or fetched the object under `key`. If that was sent before
    /// many others, this learns nothing, and the next call is made by the SDK as well.
    pub(crate) fn learn(&self, key: &Key) {
        if !self.is_wanted() {
            return;
        }
        let mut sent = self.0.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(form) = sent.iter().rev().find_map(|sent| RequestForm::of(sent, key)) {
            sent.clear();
            *self.0.learned.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(form));
        }
    }

    /// Forgets the form, until a call of the SDK succeeds again.
    pub(crate) fn forget(&self) {
        *self.0.learned.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Forgets the form for ever.
    pub(crate) fn refuse(&self) {
        if !self.0.is_refused.swap(true, Ordering::Relaxed) {
            tracing::debug!(
                event = "request_form_refused",
                "S3 refused a request that it accepted from the SDK; all requests are made by the SDK now"
            );
        }
        self.forget();
    }

    fn is_wanted(&self) -> bool {
        !self.0.is_refused.load(Ordering::Relaxed) && self.get().is_none()
    }

    fn note_sent(&self, request: &HttpRequest, connector: &SharedHttpConnector) {
        let Some((url, query)) = request.uri().split_once('?') else { return };
        if !QUERIES.iter().any(|start| query.starts_with(start)) {
            return;
        }
        let Some(authorization) = request.headers().get("authorization") else { return };
        let sent = SentRequest {
            url: url.to_owned(),
            authorization: authorization.to_owned(),
            connector: connector.clone(),
        };
        let mut last = self.0.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == SENT_MAX {
            last.pop_front();
        }
        last.push_back(sent);
    }
}

impl RequestForm {
    /// Returns the form of a request of the SDK, if it is the usual one: the URL ends with the key, and the
    /// signature is of version 4, for one region and S3.
    fn of(sent: &SentRequest, key: &Key) -> Option<RequestForm> {
        let SentRequest { url, authorization, connector } = sent;
        let base_url = url.strip_suffix(&encoded(key))?;
        let scope = authorization.strip_prefix(SCHEME)?.split(',').next()?;
        let mut scope = scope.rsplit('/');
        let (version, service, region) = (scope.next()?, scope.next()?, scope.next()?);
        let is_usual = base_url.ends_with('/') && version == "aws4_request" && service == "s3";
        is_usual.then(|| RequestForm {
            base_url: base_url.to_owned(),
            region: region.to_owned(),
            connector: connector.clone(),
        })
    }

    /// Returns a signed request.
    ///
    /// # Errors
    ///
    /// A header field is not valid.
    pub(crate) fn request(
        &self,
        call: &FormCall<'_>,
        (credentials, now): (Credentials, SystemTime),
    ) -> Result<HttpRequest, BoxError> {
        let mut url = format!("{}{}", self.base_url, encoded(call.key));
        if let Some(version_id) = call.version_id {
            url.push_str("?versionId=");
            url.extend(utf8_percent_encode(version_id, NON_ALPHANUMERIC));
        }
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let headers = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (body, signed_body) = match &call.body {
            Some((bytes, sha256)) => {
                (SdkBody::from(bytes.clone()), SignableBody::Precomputed(sha256.to_string()))
            }
            None => (SdkBody::empty(), SignableBody::Bytes(&[])),
        };
        let signable = SignableRequest::new(call.method, url.as_str(), headers, signed_body)?;
        let (signature, _) = sign(signable, &params)?.into_parts();

        let mut request = HttpRequest::new(body);
        request.set_method(call.method)?;
        request.set_uri(url)?;
        for (name, value) in &call.headers {
            request.headers_mut().try_insert(name.clone(), value.clone())?;
        }
        request.headers_mut().try_insert("user-agent", USER_AGENT)?;
        for (name, value) in signature.headers() {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }
}

fn encoded(key: &Key) -> String {
    utf8_percent_encode(key.as_str(), ENCODED).to_string()
}

/// An HTTP client that shows the requests of the SDK to the forms that want to learn.
#[derive(Debug)]
struct ObservedClient {
    inner: SharedHttpClient,
    forms: RequestForms,
}

#[derive(Debug)]
struct ObservedConnector {
    inner: SharedHttpConnector,
    forms: RequestForms,
}

impl HttpClient for ObservedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        if self.forms.is_wanted() {
            let forms = self.forms.clone();
            return SharedHttpConnector::new(ObservedConnector { inner, forms });
        }
        inner
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl HttpConnector for ObservedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.forms.note_sent(&request, &self.inner);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    #[derive(Debug)]
    struct Unreachable;

    impl HttpConnector for Unreachable {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(Err(ConnectorError::user("no server".into())))
        }
    }

    fn form(url: &str, authorization: &str, key: &str) -> Option<(String, String)> {
        let connector = SharedHttpConnector::new(Unreachable);
        let (url, authorization) = (url.to_owned(), authorization.to_owned());
        let form = RequestForm::of(
            &SentRequest { url, authorization, connector },
            &Key::parse(key).unwrap(),
        );
        form.map(|form| (form.base_url, form.region))
    }

    #[test]
    fn only_the_usual_form_is_learned() {
        let usual = "AWS4-HMAC-SHA256 Credential=ID/20261201/eu-1/s3/aws4_request, SignedHeaders=x";
        let express = usual.replace("/s3/", "/s3express/");
        let of_many_regions = "AWS4-ECDSA-P256-SHA256 Credential=ID/20261201/s3/aws4_request, x";
        #[rustfmt::skip]
        let cases = [
            // URL                                      key     authorization    base URL
            ("http://h:1/b/a/c",         "a/c",  usual,           Some("http://h:1/b/")),
            ("https://b.h/a%20%2B",      "a +",  usual,           Some("https://b.h/")),
            ("https://h/p/b/a",          "a",    usual,           Some("https://h/p/b/")),
            ("http://h/b/a/c",           "c/c",  usual,           None),
            ("http://h/b/aa",            "a",    usual,           None),
            ("http://h/b/a?x=y",                        "a",    usual,           None),
            ("http://h/b/a",             "a",    &express,        None),
            ("http://h/b/a",             "a",    of_many_regions, None),
        ];
        for (url, key, authorization, base_url) in cases {
            let want = base_url.map(|base_url| (base_url.to_owned(), "eu-1".to_owned()));
            assert_eq!(form(url, authorization, key), want, "{url} {key} {authorization}");
        }
    }
}
