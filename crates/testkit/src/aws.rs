//! A real bucket at AWS, for the few tests that ask for one.
//!
//! `./check --aws` names it. A test writes below a prefix that nobody else has,
//! and removes all of it at its end, with its versions and uploads. It leaves
//! the settings of the bucket alone.

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
/// Of a thousand each. More than a test writes; what is still there then was
/// written by somebody else meanwhile.
const PAGES_MAX: usize = 100;

#[derive(Debug)]
pub struct AwsBucket {
    pub name: String,
    /// Where a test may write; ends with a slash.
    pub prefix: String,
    pub region: String,
    /// Of what is large.
    pub storage_class: String,
    /// What the environment says of credentials and region.
    pub config: SdkConfig,
}

impl AwsBucket {
    /// `None` where nobody asked for it, which is said in one line.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub async fn named_or_say_so() -> Option<AwsBucket> {
        let Some(name) = text_in(BUCKET) else {
            println!("NOT RUN: AWS: ./check --aws asks for it, and {BUCKET} names a bucket");
            return None;
        };
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let region = config.region().expect("a region: set AWS_REGION").to_string();
        let storage_class = text_in(STORAGE_CLASS).unwrap_or_else(|| "STANDARD".to_owned());
        Some(AwsBucket { name, prefix: new_prefix(), region, storage_class, config })
    }

    /// Deletes what is below the prefix: every version, and every upload. An
    /// error says what went wrong, for a test that has more to tell.
    pub async fn clean(&self) -> Result<(), String> {
        let client = Client::new(&self.config);
        for _ in 0..PAGES_MAX {
            let uploads = self.abort_uploads(&client).await.map_err(|err| self.left(&err))?;
            let versions = self.delete_versions(&client).await.map_err(|err| self.left(&err))?;
            if uploads + versions == 0 {
                return Ok(());
            }
        }
        Err(self.left(&"more comes than goes"))
    }

    fn left(&self, cause: &dyn fmt::Display) -> String {
        format!("s3://{}/{} is not empty; delete it by hand: {cause}", self.name, self.prefix)
    }

    async fn abort_uploads(&self, client: &Client) -> Result<usize, String> {
        let list = client.list_multipart_uploads().bucket(&self.name).prefix(&self.prefix);
        let page = list.encoding_type(EncodingType::Url).send().await.map_err(said)?;
        for upload in page.uploads() {
            let abort = client.abort_multipart_upload().bucket(&self.name);
            let abort = abort.set_upload_id(upload.upload_id.clone());
            abort.key(decoded(upload.key(), page.encoding_type())).send().await.map_err(said)?;
        }
        Ok(page.uploads().len())
    }

    async fn delete_versions(&self, client: &Client) -> Result<usize, String> {
        let list = client.list_object_versions().bucket(&self.name).prefix(&self.prefix);
        let page = list.encoding_type(EncodingType::Url).send().await.map_err(said)?;
        let versions = page.versions().iter().map(|one| (one.key(), one.version_id()));
        let markers = page.delete_markers().iter().map(|one| (one.key(), one.version_id()));
        let all: Vec<_> = versions.chain(markers).collect();
        for (key, id) in &all {
            let delete =
                client.delete_object().bucket(&self.name).key(decoded(*key, page.encoding_type()));
            delete.set_version_id(id.map(str::to_owned)).send().await.map_err(said)?;
        }
        Ok(all.len())
    }
}

fn said(err: impl Error) -> String {
    DisplayErrorContext(err).to_string()
}

/// A key as it was before the server encoded it, where it says that it did.
fn decoded(key: Option<&str>, encoding: Option<&EncodingType>) -> String {
    let key = key.expect("a key");
    if encoding != Some(&EncodingType::Url) {
        return key.to_owned();
    }
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().expect("text").into_owned()
}

fn new_prefix() -> String {
    let above = text_in(PREFIX).unwrap_or_default();
    let random = getrandom::u64().expect("random bytes");
    format!("{}/s3up-test-{random:016x}/", above.trim_matches('/'))
        .trim_start_matches('/')
        .to_owned()
}

fn text_in(variable: &str) -> Option<String> {
    let text = env::var_os(variable)?.into_string().expect("text in the environment");
    (!text.is_empty()).then_some(text)
}
