//! Finds out what protects a body on its way: sends bodies that were damaged after
//! their checksum was computed, and sees which are refused.
//!
//! An echo of a checksum proves little (a server may repeat the header), and a server
//! that takes signatures need not compare the hash in them with the body. Only a
//! refusal proves it. The probes write the small object of `conditions`.

use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::box_error::BoxError;
use s3up_core::{Key, KeyPrefix};

use crate::buffers::hashing;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::probes::conditions::probe_key;
use crate::transport::capabilities::{ListingOrder, Verifications, Verified};
use crate::transport::connect::Store;

const SENT: &[u8] = b"Written by s3up to see whether this store finds damage (as-sent).\n";
/// Another content of the length of [`SENT`], so that only a checksum can tell.
const DAMAGED: &[u8] = b"Written by s3up to see whether this store finds damage (damaged).\n";
/// MD5 of [`SENT`], in Base64.
const SENT_MD5: &str = "TkK1f67JcAe5lfvU8oWlMA==";

/// The checksum that a probe is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbedChecksum {
    Crc64Nvme,
    ContentMd5,
    PayloadSha256,
}

/// Replaces the body after the request was signed.
#[derive(Debug)]
struct Damage;

impl Intercept for Damage {
    fn name(&self) -> &'static str {
        "Damage"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *context.request_mut().body_mut() = SdkBody::from(DAMAGED.to_vec());
        Ok(())
    }
}

impl Store {
    /// Finds out which checksums of a body the server verifies. Writes one small
    /// object below `prefix`.
    pub async fn probe_checksums(
        &self,
        prefix: &KeyPrefix,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        let key = probe_key(prefix, "")?;
        let verifications = Verifications {
            crc64nvme: self.verifies(&key, ProbedChecksum::Crc64Nvme, retry_for).await?,
            content_md5: self.verifies(&key, ProbedChecksum::ContentMd5, retry_for).await?,
            payload_sha256: self.verifies(&key, ProbedChecksum::PayloadSha256, retry_for).await?,
        };
        self.learned.learn(|known| known.verifications = verifications);
        Ok(())
    }

    async fn verifies(
        &self,
        key: &Key,
        checksum: ProbedChecksum,
        retry_for: Duration,
    ) -> Result<Verified, StoreError> {
        // A server that refuses the header refuses the whole body, too.
        match self.put_body(key, checksum, false, retry_for).await {
            Ok(()) => {}
            Err(err)
                if matches!(
                    err.kind,
                    StoreErrorKind::Permanent | StoreErrorKind::NotImplemented
                ) =>
            {
                return Ok(Verified::Refused);
            }
            Err(err) => return Err(err),
        }
        match self.put_body(key, checksum, true, retry_for).await {
            Ok(()) => Ok(Verified::No),
            Err(err) => match err.kind {
                StoreErrorKind::Transient | StoreErrorKind::Unreadable => Err(err),
                // Servers name the damage in many ways: BadDigest, a wrong signature,
                // InvalidRequest.
                StoreErrorKind::NotFound
                | StoreErrorKind::NoUpload
                | StoreErrorKind::ExpiredCredentials
                | StoreErrorKind::Quota
                | StoreErrorKind::NoBucket
                | StoreErrorKind::NoLifecycleRules
                | StoreErrorKind::BadCredentials
                | StoreErrorKind::NoCredentials
                | StoreErrorKind::Denied
                | StoreErrorKind::WrongRegion
                | StoreErrorKind::ClockSkew
                | StoreErrorKind::Precondition
                | StoreErrorKind::TooLong
                | StoreErrorKind::Archived
                | StoreErrorKind::NotImplemented
                | StoreErrorKind::Corrupt
                | StoreErrorKind::Permanent => Ok(Verified::Yes),
            },
        }
    }

    async fn put_body(
        &self,
        key: &Key,
        checksum: ProbedChecksum,
        is_damaged: bool,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        let crc = hashing::crc64(SENT.into()).await.to_string();
        self.retry(retry_for, || {
            let put = self.client.put_object().bucket(self.bucket()).key(key.as_str());
            let put = put.content_type("text/plain").body(SENT.to_vec().into());
            let put = match checksum {
                ProbedChecksum::Crc64Nvme => put.checksum_crc64_nvme(&crc),
                ProbedChecksum::ContentMd5 => put.content_md5(SENT_MD5),
                ProbedChecksum::PayloadSha256 => put,
            };
            let put = put.customize();
            let put = match checksum {
                ProbedChecksum::PayloadSha256 => put,
                ProbedChecksum::Crc64Nvme | ProbedChecksum::ContentMd5 => {
                    put.disable_payload_signing()
                }
            };
            let put = if is_damaged { put.interceptor(Damage) } else { put };
            self.call(Operation::Put, key, put.send())
        })
        .await
        .map(|_| ())
    }

    /// Finds out in which order the server lists keys, from the first page below
    /// `prefix`.
    pub async fn probe_listing(
        &self,
        prefix: &KeyPrefix,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        let page = self.list(prefix.as_str(), retry_for).next_page().await?.unwrap_or_default();
        let order = order_of(page.iter().map(|listed| listed.key.as_str()));
        self.learned.learn(|known| known.listing_order = order);
        Ok(())
    }
}

fn order_of<'a>(keys: impl Iterator<Item = &'a str>) -> ListingOrder {
    let keys: Vec<_> = keys.collect();
    match keys.len() {
        0 | 1 => ListingOrder::Unknown,
        _ if keys.is_sorted() => ListingOrder::Bytes,
        _ => ListingOrder::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_damaged_body_differs_only_in_its_bytes() {
        assert_eq!(SENT.len(), DAMAGED.len());
        assert_ne!(SENT, DAMAGED);
    }

    #[test]
    fn the_order_of_a_listing_is_seen_from_two_keys_on() {
        #[rustfmt::skip]
        let cases = [
            (vec![],               ListingOrder::Unknown),
            (vec!["a"],            ListingOrder::Unknown),
            (vec!["a", "a/b", "b"], ListingOrder::Bytes),
            (vec!["a/b", "a"],     ListingOrder::Other),
        ];
        for (keys, want) in cases {
            assert_eq!(order_of(keys.iter().copied()), want, "{keys:?}");
        }
    }
}
