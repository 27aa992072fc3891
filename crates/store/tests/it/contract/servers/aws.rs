//! A bucket at AWS, if one is configured.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::ProvideCredentials;
use aws_sdk_s3::types::BucketVersioningStatus;
use s3up_testkit::AwsBucket;

use super::{Running, ServerName, Target};
use crate::contract::server::{Server, quiet};

pub async fn find_or_print_why_not() -> Option<Running<AwsBucket>> {
    let bucket = AwsBucket::from_env_or_skip().await?;
    let provider = bucket.config.credentials_provider().expect("AWS credentials");
    let credentials = provider.provide_credentials().await.expect("AWS credentials");
    let config = quiet(aws_sdk_s3::config::Builder::from(&bucket.config)).build();
    let server = Server {
        client: Client::from_conf(config),
        endpoint: bucket
            .config
            .endpoint_url()
            .map_or_else(|| format!("https://s3.{}.amazonaws.com", bucket.region), str::to_owned),
        bucket: bucket.name.clone(),
        prefix: bucket.prefix.clone(),
        credentials,
    };
    let versioning = server.client.get_bucket_versioning().bucket(&server.bucket).send().await;
    let enabled = Some(BucketVersioningStatus::Enabled);
    let keeps_versions = versioning.is_ok_and(|answer| answer.status == enabled);
    let versioned = keeps_versions.then(|| server.clone());
    let target = Target { name: ServerName::Aws, server, versioned, is_ours: false };
    Some(Running { target, stopper: bucket })
}

impl Running<AwsBucket> {
    /// Deletes what the suite wrote.
    pub async fn stop(self) -> Result<(), String> {
        self.stopper.clean().await
    }
}
