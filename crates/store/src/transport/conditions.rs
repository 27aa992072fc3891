//! Finds out whether the server honours conditional writes.
//!
//! An object whose key must be new is written with `If-None-Match: *`, and a
//! pointer with `If-Match`. Some servers silently ignore these headers, and then
//! the last writer wins. So any server but AWS is probed before it matters: we
//! write a small object under a fixed key as a new one, and again with an ETag
//! that no object has. A server that honours both headers refuses both writes.
//!
//! The object stays. Removing it would need a right that the documented set-ups
//! do not grant; and if two hosts probed at the same moment, one would remove the
//! object because of which the other expects a refusal.
//!
//! Not here: what follows from the result, which each program decides.

use std::time::Duration;

use s3up_core::{Key, KeyPrefix};

use crate::error::{Kind, StoreError};
use crate::transport::capabilities::Conditions;
use crate::transport::connect::Store;

/// No client of a gateway and no folder of a backup can have this name.
const PROBE_NAME: &str = ".s3up-probe";
const PROBE_BODY: &[u8] =
    b"Written by s3up to see whether this store honours If-None-Match and If-Match.\n";
/// No server generates this ETag.
const ETAG_OF_NO_OBJECT: &str = "\"00000000000000000000000000000000\"";

/// The condition of a write that the server should refuse.
#[derive(Clone, Copy, Debug)]
enum Condition {
    KeyIsNew,
    ObjectHasUnknownETag,
}

/// The answer to a write that the server should refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Written,
}

impl Store {
    /// Returns what [`Store::probe_conditions`] found.
    pub fn conditions(&self) -> Conditions {
        self.conditions.get().copied().unwrap_or(Conditions::Unknown)
    }

    /// Probes any server but AWS, once for all clones of this store. May leave
    /// one small object below `prefix`.
    pub async fn probe_conditions(&self, prefix: &KeyPrefix, retry_for: Duration) -> Conditions {
        let probing = || async { self.try_probe_conditions(prefix, retry_for).await };
        *self.conditions.get_or_init(probing).await
    }

    async fn try_probe_conditions(&self, prefix: &KeyPrefix, retry_for: Duration) -> Conditions {
        let found = match probe_key(prefix) {
            Ok(key) => self.write_probes(&key, retry_for).await,
            Err(err) => Err(err),
        };
        found.unwrap_or_else(|err| {
            tracing::warn!(
                event = "conditions_unknown",
                key = %err.subject,
                cause = err.source.as_ref().map(tracing::field::display),
                "cannot find out whether S3 honours conditional writes: {err}"
            );
            Conditions::Unknown
        })
    }

    async fn write_probes(&self, key: &Key, retry_for: Duration) -> Result<Conditions, StoreError> {
        let put_new = || self.put_probe(key, Condition::KeyIsNew, retry_for);
        // The first write may rightly succeed: the probe may not exist yet.
        if put_new().await? == Outcome::Written && put_new().await? == Outcome::Written {
            return Ok(Conditions::Ignored);
        }
        Ok(match self.put_probe(key, Condition::ObjectHasUnknownETag, retry_for).await? {
            Outcome::Refused => Conditions::Honoured,
            Outcome::Written => Conditions::IfNoneMatchOnly,
        })
    }

    /// Does not use the ordinary upload, which takes an object with the same
    /// bytes for its own, written by an earlier attempt.
    async fn put_probe(
        &self,
        key: &Key,
        condition: Condition,
        retry_for: Duration,
    ) -> Result<Outcome, StoreError> {
        let put = self.retry(retry_for, || {
            let put = self.client.put_object().bucket(self.bucket()).key(key.as_str());
            let put = match condition {
                Condition::KeyIsNew => put.if_none_match("*"),
                Condition::ObjectHasUnknownETag => put.if_match(ETAG_OF_NO_OBJECT),
            };
            let put = put.content_type("text/plain").body(PROBE_BODY.to_vec().into());
            self.call("put", key, put.send())
        });
        match put.await {
            Ok(_) => Ok(Outcome::Written),
            Err(err) if err.kind == Kind::Precondition => Ok(Outcome::Refused),
            Err(err) => Err(err),
        }
    }
}

fn probe_key(prefix: &KeyPrefix) -> Result<Key, StoreError> {
    let text = format!("{prefix}{PROBE_NAME}");
    Key::parse(&text).map_err(|err| StoreError::new("put", &text, Kind::Permanent).with_cause(err))
}
