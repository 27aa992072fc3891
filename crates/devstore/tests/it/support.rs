//! A server with one bucket in its own directory, and a client for it.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use s3up_devstore::{DevStore, Faults, Options, Versioning};
use tempfile::TempDir;

pub const BUCKET: &str = "test-bucket";
/// Minimum length of a part in these tests.
pub const PART: usize = 8;

pub struct Server {
    pub s3: DevStore,
    pub client: Client,
    pub dir: TempDir,
}

/// Starts a server with a bucket without versions.
pub async fn server() -> Server {
    server_in(tempfile::tempdir().expect("a temporary directory"), Versioning::Off).await
}

pub async fn versioned_server() -> Server {
    server_in(tempfile::tempdir().expect("a temporary directory"), Versioning::Enabled).await
}

pub async fn server_in(dir: TempDir, versioning: Versioning) -> Server {
    let options = Options { part_bytes_min: PART as u64, ..Options::new(dir.path()) };
    let s3 = DevStore::start(options).await.expect("the server starts");
    s3.create_bucket(BUCKET, versioning).await.expect("the bucket is created");
    let client = client(&s3.endpoint(), Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    Server { s3, client, dir }
}

/// Returns a client that never retries, and neither adds nor verifies checksums.
pub fn client(endpoint: &str, access_key_id: &str, secret_access_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(
            access_key_id,
            secret_access_key,
            None,
            None,
            "test",
        ))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

impl Server {
    pub fn faults(&self) -> &Faults {
        self.s3.faults()
    }

    /// Stops the server and starts it again on the same directory.
    pub async fn restart(self) -> Server {
        self.s3.stop().await;
        server_in(self.dir, Versioning::Off).await
    }

    /// Puts an object and returns its ETag.
    pub async fn put(&self, key: &str, body: &[u8]) -> String {
        let put = self.client.put_object().bucket(BUCKET).key(key).body(bytes(body)).send().await;
        put.expect("the object is put").e_tag.expect("an ETag")
    }

    pub async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(BUCKET).key(key).send().await;
        body(got.expect("the object is there")).await
    }

    pub async fn keys(&self) -> Vec<String> {
        let listed = self.client.list_objects_v2().bucket(BUCKET).send().await;
        let contents = listed.expect("the bucket is listed").contents.unwrap_or_default();
        contents.into_iter().filter_map(|object| object.key).collect()
    }

    pub async fn start_upload(&self, key: &str) -> String {
        let started = self.client.create_multipart_upload().bucket(BUCKET).key(key).send().await;
        started.expect("the upload is started").upload_id.expect("an upload id")
    }

    pub async fn put_part(&self, key: &str, id: &str, number: i32, body: &[u8]) -> CompletedPart {
        let put = self
            .client
            .upload_part()
            .bucket(BUCKET)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(bytes(body))
            .send()
            .await
            .expect("the part is put");
        CompletedPart::builder().part_number(number).e_tag(put.e_tag.expect("an ETag")).build()
    }

    /// Returns all files below a directory of the server.
    pub fn files(&self, directory: &str) -> Vec<PathBuf> {
        files_below(&self.dir.path().join(directory))
    }
}

pub fn bytes(body: &[u8]) -> ByteStream {
    ByteStream::from(body.to_vec())
}

pub async fn body(got: GetObjectOutput) -> Vec<u8> {
    got.body.collect().await.expect("the body arrives whole").to_vec()
}

pub fn list_of(parts: impl IntoIterator<Item = CompletedPart>) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts.into_iter().collect())).build()
}

/// Returns a configuration with which a client computes the chosen checksum, and
/// sends it as a trailer if it can.
pub fn checking() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
}

/// Returns the code of a refused call.
pub fn refusal<T: Debug, E: ProvideErrorMetadata + Debug>(
    result: Result<T, SdkError<E>>,
) -> String {
    let error = result.expect_err("the call is refused");
    error.code().unwrap_or_else(|| panic!("no code in {error:?}")).to_owned()
}

/// Returns the status of a refused call. A refused HEAD has no code.
pub fn status<T: Debug, E: Debug>(result: Result<T, SdkError<E>>) -> u16 {
    let error = result.expect_err("the call is refused");
    let response = error.raw_response().unwrap_or_else(|| panic!("no answer: {error:?}"));
    response.status().as_u16()
}

/// Returns true if the connection broke before the answer was complete.
pub fn is_broken<T, E>(result: &Result<T, SdkError<E>>) -> bool {
    matches!(result, Err(SdkError::DispatchFailure(_) | SdkError::ResponseError(_)))
}

/// Returns how long `work` takes.
pub async fn time_of<T>(work: impl Future<Output = T>) -> Duration {
    let started_at = s3up_testkit::CLOCK.start();
    work.await;
    started_at.elapsed()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
