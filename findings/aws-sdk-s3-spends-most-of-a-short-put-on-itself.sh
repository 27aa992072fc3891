#!/usr/bin/env bash
# aws-sdk-s3 1.157.0 (Rust): the CPU time of a PutObject without the network is more than four times that of
# building and signing the same request with aws-sigv4, the library that the SDK signs with.
#
# Checksums, retries and the signature of the payload are off, and the connector answers at once, so what is
# measured is the way of a call through the SDK: merging of configurations and components, resolution of the
# endpoint, interceptors, type-erased settings. 0.05 ms and more for each call do not matter for objects of
# megabytes. A server that passes short objects on may spend half of its CPU time there. A client may let the SDK make
# the first call and repeat its form (URL, region, header fields) for the next ones, signed by the same library.
. "$(dirname "$0")/common.sh"

mkdir -p "$work/program/src"
cat >"$work/program/Cargo.toml" <<'END_OF_FILE'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
aws-credential-types = { version = "=1.3.1", features = ["hardcoded-credentials"] }
aws-sdk-s3 = { version = "=1.157.0", default-features = false, features = ["rt-tokio"] }
aws-sigv4 = "=1.6.4"
aws-smithy-runtime-api = "=1.20.0"
tokio = { version = "=1.54.1", features = ["rt", "macros"] }
END_OF_FILE
cat >"$work/program/src/main.rs" <<'END_OF_PROGRAM'
use aws_credential_types::Credentials;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::primitives::SdkBody;
use aws_sigv4::http_request::*;
use aws_smithy_runtime_api::client::http::{http_client_fn, HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use std::time::{Duration, Instant, SystemTime};

#[derive(Debug)]
struct AnswersAtOnce;
impl HttpConnector for AnswersAtOnce {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert!(request.headers().get("authorization").is_some());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::empty())))
    }
}

const CALLS: usize = 2000;

async fn by_sdk(client: &aws_sdk_s3::Client) -> Duration {
    let began = Instant::now();
    for n in 0..CALLS {
        let put = client.put_object().bucket("bucket").key(format!("key-{n}")).content_length(9);
        let put = put.content_type("text/plain").metadata("mode", "0644").body(SdkBody::from("some text").into());
        put.customize().disable_payload_signing().send().await.unwrap();
    }
    began.elapsed()
}

async fn by_signer(connector: &SharedHttpConnector, credentials: &Credentials) -> Duration {
    let began = Instant::now();
    for n in 0..CALLS {
        let url = format!("http://127.0.0.1:1/bucket/key-{n}");
        let headers = [("content-length", "9"), ("content-type", "text/plain"), ("x-amz-meta-mode", "0644")];
        let identity = credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = aws_sigv4::sign::v4::SigningParams::builder().identity(&identity).region("eu-north-1").name("s3");
        let params = params.time(SystemTime::now()).settings(settings).build().unwrap().into();
        let body = SignableBody::UnsignedPayload;
        let signable = SignableRequest::new("PUT", url.as_str(), headers.into_iter(), body).unwrap();
        let (signature, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = HttpRequest::new(SdkBody::from("some text"));
        request.set_method("PUT").unwrap();
        request.set_uri(url).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(name, value);
        }
        for (name, value) in signature.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        assert!(connector.call(request).await.unwrap().status().is_success());
    }
    began.elapsed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let credentials = Credentials::new("key-id", "secret", None, None, "here");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-north-1"))
        .endpoint_url("http://127.0.0.1:1")
        .force_path_style(true)
        .credentials_provider(credentials.clone())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(AnswersAtOnce)))
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let connector = SharedHttpConnector::new(AnswersAtOnce);
    let (mut sdk, mut signer) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        sdk.push(by_sdk(&client).await / CALLS as u32);
        signer.push(by_signer(&connector, &credentials).await / CALLS as u32);
    }
    sdk.sort();
    signer.sort();
    eprintln!("medians for each call: the SDK {:?}, the signer {:?}", sdk[4], signer[4]);
    println!("{}", if sdk[4] > 4 * signer[4] { "over four times" } else { "up to four times" });
}
END_OF_PROGRAM
cargo build --quiet --release --manifest-path "$work/program/Cargo.toml"
seen 'CPU time of a call of the SDK, compared with signing and sending' 'over four times' \
  "$("$work/program/target/release/finding")"
