//! A real bucket at AWS, which `./check --aws` names.
//!
//! Nothing is written but below a new prefix, and that is deleted at the end,
//! with its versions and uploads. The settings of the bucket are left alone.

use std::env;
use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::ProvideCredentials;
use aws_sdk_s3::types::BucketVersioningStatus;

use super::{Name, Target, not_run};
use crate::contract::server::{Server, quiet};

const BUCKET: &str = "S3UP_TEST_BUCKET";
const PREFIX: &str = "S3UP_TEST_PREFIX";
/// What is left then was written by somebody else meanwhile.
const PAGES_MAX: usize = 100;

pub async fn find_or_say_why_not() -> Option<Target> {
    let Some(bucket) = text_in(BUCKET) else {
        not_run("AWS: ./check --aws runs the suite on the bucket that S3UP_TEST_BUCKET names");
        return None;
    };
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let provider = config.credentials_provider().expect("AWS credentials in the environment");
    let credentials = provider.provide_credentials().await.expect("AWS credentials");
    let client = Client::from_conf(quiet(aws_sdk_s3::config::Builder::from(&config)).build());
    let server = Server { client, bucket, prefix: new_prefix(), credentials };
    let told = server.client.get_bucket_versioning().bucket(&server.bucket).send().await;
    let told = told.expect("a bucket that says whether it keeps versions");
    let keeps = told.status() == Some(&BucketVersioningStatus::Enabled);
    let versioned = keeps.then(|| server.clone());
    Some(Target { name: Name::Aws, server, versioned, is_ours: false })
}

/// Removes what the suite wrote.
pub async fn clean(target: &Target) {
    let server = &target.server;
    for _ in 0..PAGES_MAX {
        let uploads = server.client.list_multipart_uploads().bucket(&server.bucket);
        let uploads = uploads.prefix(&server.prefix).send().await.expect("a list of uploads");
        for upload in uploads.uploads() {
            let abort = server.client.abort_multipart_upload().bucket(&server.bucket);
            let abort = abort.set_key(upload.key.clone()).set_upload_id(upload.upload_id.clone());
            abort.send().await.expect("an aborted upload");
        }
        let found = server.client.list_object_versions().bucket(&server.bucket);
        let found =
            found.prefix(&server.prefix).encoding_type(aws_sdk_s3::types::EncodingType::Url);
        let found = found.send().await.expect("a list of versions");
        let versions = found.versions().iter().map(|one| (one.key(), one.version_id()));
        let markers = found.delete_markers().iter().map(|one| (one.key(), one.version_id()));
        let all: Vec<_> = versions.chain(markers).collect();
        for (key, id) in &all {
            let key = percent_encoding::percent_decode_str(key.expect("a key"));
            let delete = server.client.delete_object().bucket(&server.bucket);
            let delete = delete.key(key.decode_utf8_lossy()).set_version_id(id.map(str::to_owned));
            delete.send().await.expect("a deleted version");
        }
        if all.is_empty() && uploads.uploads().is_empty() {
            return;
        }
    }
    panic!("s3://{}/{} is not empty yet; delete it by hand", server.bucket, server.prefix);
}

fn new_prefix() -> String {
    let above = text_in(PREFIX).unwrap_or_default();
    let above = above.trim_matches('/');
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = since_epoch.expect("a clock after 1970").as_nanos();
    format!("{above}/contract-{now}/").trim_start_matches('/').to_owned()
}

fn text_in(variable: &str) -> Option<String> {
    let text = env::var_os(variable)?.into_string().expect("text in the environment");
    (!text.is_empty()).then_some(text)
}
