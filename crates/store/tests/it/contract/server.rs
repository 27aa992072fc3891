//! A server as a behaviour sees it: a client, a bucket and a prefix of its own.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::head_object::builders::HeadObjectFluentBuilder;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use crc_fast::CrcAlgorithm;
use s3up_core::Crc64Nvme;

use super::verdict::{Differs, holds, some};

pub const BODY: &[u8] = b"123456789";

#[derive(Clone, Debug)]
pub struct Server {
    pub client: Client,
    pub endpoint: String,
    pub bucket: String,
    /// Ends with a slash. The behaviour writes only below it.
    pub prefix: String,
    pub credentials: Credentials,
}

/// Configures a client that neither adds nor checks checksums, and does not retry.
pub fn quiet(config: aws_sdk_s3::config::Builder) -> aws_sdk_s3::config::Builder {
    config
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
}

impl Server {
    /// Returns a server of the suite, without a bucket yet.
    pub fn new(endpoint: String, region: &'static str, key_id: &str, secret: &str) -> Server {
        let credentials = Credentials::new(key_id, secret, None, None, "test");
        let config = quiet(aws_sdk_s3::Config::builder())
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(credentials.clone())
            .endpoint_url(&endpoint)
            .force_path_style(true)
            .region(Region::from_static(region));
        Server {
            client: Client::from_conf(config.build()),
            endpoint,
            bucket: String::new(),
            prefix: "contract/".to_owned(),
            credentials,
        }
    }

    /// Returns the same server with a prefix for the behaviour of this name.
    pub fn below(&self, name: &str) -> Server {
        Server { prefix: format!("{}{name}/", self.prefix), ..self.clone() }
    }

    /// Returns the same bucket with another client.
    pub fn with_client(
        &self,
        edit: impl FnOnce(aws_sdk_s3::config::Builder) -> aws_sdk_s3::config::Builder,
    ) -> Server {
        let config = edit(self.client.config().to_builder()).build();
        Server { client: Client::from_conf(config), ..self.clone() }
    }

    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn put(&self, name: &str, body: &[u8]) -> PutObjectFluentBuilder {
        self.client.put_object().bucket(&self.bucket).key(self.key(name)).body(bytes(body))
    }

    pub fn get(&self, name: &str) -> GetObjectFluentBuilder {
        self.client.get_object().bucket(&self.bucket).key(self.key(name))
    }

    pub fn head(&self, name: &str) -> HeadObjectFluentBuilder {
        self.client.head_object().bucket(&self.bucket).key(self.key(name))
    }

    /// Lists the keys below the prefix of the behaviour that start with `start`.
    pub fn list(&self, start: &str) -> ListObjectsV2FluentBuilder {
        self.client.list_objects_v2().bucket(&self.bucket).prefix(self.key(start))
    }

    /// Stores an object; returns its ETag.
    pub async fn stored(&self, name: &str, body: &[u8]) -> Result<String, Differs> {
        some("ETag", self.put(name, body).send().await?.e_tag)
    }

    pub async fn read(&self, name: &str) -> Result<Vec<u8>, Differs> {
        body(self.get(name).send().await?).await
    }

    /// Checks that the object has these bytes.
    pub async fn has(&self, name: &str, wanted: &[u8]) -> Result<(), Differs> {
        holds(self.read(name).await? == wanted, "other bytes were returned")
    }

    /// Checks that there is no such object.
    pub async fn has_none(&self, name: &str, instead: &str) -> Result<(), Differs> {
        match self.head(name).send().await {
            Ok(_) => Err(Differs(instead.to_owned())),
            Err(err) if super::verdict::status(&err) == Some(404) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }

    /// Returns the names below the prefix of the behaviour, as the server lists
    /// them.
    pub async fn names(&self, start: &str) -> Result<Vec<String>, Differs> {
        let listed = self.list(start).send().await?.contents.unwrap_or_default();
        let keys = listed.into_iter().filter_map(|object| object.key);
        Ok(keys.map(|key| key.replacen(&self.prefix, "", 1)).collect())
    }
}

pub fn bytes(body: &[u8]) -> ByteStream {
    ByteStream::from(body.to_vec())
}

pub async fn body(got: GetObjectOutput) -> Result<Vec<u8>, Differs> {
    Ok(got.body.collect().await?.to_vec())
}

pub fn crc64nvme(body: &[u8]) -> String {
    Crc64Nvme(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, body)).to_string()
}

/// Returns the CRC64NVME of other bytes.
pub fn wrong_crc64nvme() -> String {
    crc64nvme(b"other bytes")
}
