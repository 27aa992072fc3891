//! A real bucket at AWS, for the few tests that need one.
//!
//! `./check --aws` passes its name. A test writes below a unique prefix, and at its
//! end removes everything there, including versions and uploads. It does not
//! change the settings of the bucket.

use std::env;
use std::error::Error;
use std::fmt;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;

const BUCKET: &str = "S3UP_TEST_BUCKET";
const PREFIX: &str = "S3UP_TEST_PREFIX";
const STORAGE_CLASS: &str = "S3UP_TEST_STORAGE_CLASS";
/// Maximum number of pages (of a thousand entries) that `clean` deletes. That is
/// more than a test writes, so any more entries come from another writer.
const PAGES_MAX: usize = 100;

#[derive(Debug)]
pub struct AwsBucket {
    pub name: String,
    /// Prefix for the test, with a trailing slash.
    pub prefix: String,
    pub region: String,
    /// Storage class of large objects.
    pub storage_class: String,
    /// Credentials and region from the environment.
    pub config: SdkConfig,
}

impl AwsBucket {
    /// Returns the bucket that the environment names. Otherwise prints one line that
    /// starts with `NOT RUN`, and returns `None`.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub async fn from_env_or_skip() -> Option<AwsBucket> {
        let Some(name) = env_text(BUCKET) else {
            println!("NOT RUN: AWS: set {BUCKET} to a bucket and run ./check --aws");
            return None;
        };
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let region = config.region().expect("a region: set AWS_REGION").to_string();
        let storage_class = env_text(STORAGE_CLASS).unwrap_or_else(|| "STANDARD".to_owned());
        Some(AwsBucket { name, prefix: new_prefix(), region, storage_class, config })
    }

    /// Deletes every version and every upload below the prefix. Returns the reason
    /// if that fails, so that a test can report it with its own.
    pub async fn clean(&self) -> Result<(), String> {
        let client = Client::new(&self.config);
        for _ in 0..PAGES_MAX {
            let uploads = self.abort_uploads(&client).await.map_err(|err| self.not_clean(&err))?;
            let versions =
                self.delete_versions(&client).await.map_err(|err| self.not_clean(&err))?;
            if uploads + versions == 0 {
                return Ok(());
            }
        }
        Err(self.not_clean(&"objects are still being written there"))
    }

    fn not_clean(&self, cause: &dyn fmt::Display) -> String {
        format!(
            "clean s3://{}/{}: {cause}; check what is left there, then delete it",
            self.name, self.prefix
        )
    }

    async fn abort_uploads(&self, client: &Client) -> Result<usize, String> {
        let list = client.list_multipart_uploads().bucket(&self.name).prefix(&self.prefix);
        let page = list.encoding_type(EncodingType::Url).send().await.map_err(error_text)?;
        for upload in page.uploads() {
            let abort = client.abort_multipart_upload().bucket(&self.name);
            let abort = abort.set_upload_id(upload.upload_id.clone());
            abort
                .key(decoded(upload.key(), page.encoding_type()))
                .send()
                .await
                .map_err(error_text)?;
        }
        Ok(page.uploads().len())
    }

    async fn delete_versions(&self, client: &Client) -> Result<usize, String> {
        let list = client.list_object_versions().bucket(&self.name).prefix(&self.prefix);
        let page = list.encoding_type(EncodingType::Url).send().await.map_err(error_text)?;
        let versions = page.versions().iter().map(|one| (one.key(), one.version_id()));
        let markers = page.delete_markers().iter().map(|one| (one.key(), one.version_id()));
        let all: Vec<_> = versions.chain(markers).collect();
        for (key, id) in &all {
            let delete =
                client.delete_object().bucket(&self.name).key(decoded(*key, page.encoding_type()));
            delete.set_version_id(id.map(str::to_owned)).send().await.map_err(error_text)?;
        }
        Ok(all.len())
    }
}

fn error_text(err: impl Error) -> String {
    DisplayErrorContext(err).to_string()
}

/// Decodes a key, if the server says that it is encoded.
fn decoded(key: Option<&str>, encoding: Option<&EncodingType>) -> String {
    let key = key.expect("a key");
    if encoding != Some(&EncodingType::Url) {
        return key.to_owned();
    }
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().expect("text").into_owned()
}

fn new_prefix() -> String {
    let above = env_text(PREFIX).unwrap_or_default();
    let random = getrandom::u64().expect("random bytes");
    format!("{}/s3up-test-{random:016x}/", above.trim_matches('/'))
        .trim_start_matches('/')
        .to_owned()
}

fn env_text(variable: &str) -> Option<String> {
    let text = env::var_os(variable)?.into_string().expect("text in the environment");
    (!text.is_empty()).then_some(text)
}
