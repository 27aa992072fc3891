//! Whether the server honours conditional writes.
//!
//! A key that must be new is written with `If-None-Match: *`, and a pointer
//! with `If-Match`. Some servers ignore these headers without a word, and then
//! the last writer wins. So a server that is none of AWS's is asked before it
//! matters: an object under one fixed key is written as if nothing stood there,
//! and again on an ETag that nothing has. A server that honours both refuses
//! both, and writes nothing.
//!
//! The object stays. To remove it would take a right that the documented set-ups
//! do not give; and of two hosts that ask at the same moment, one would take
//! away what the other is about to be refused for.
//!
//! Not here: what follows from the answer, which is for the programs to say.

use std::time::Duration;

use s3up_core::{Key, KeyPrefix};

use crate::connect::Store;
use crate::dialect::Profile;
use crate::error::{Kind, StoreError};
use crate::put::Overwrite;

/// No client of a gateway can have a name like that, nor is it a folder of a
/// backup.
const PROBE_NAME: &str = ".s3up-probe";
const PROBE_BODY: &[u8] =
    b"Written by s3up to see whether this store honours If-None-Match and If-Match.\n";
/// No server makes an ETag of eight bytes of nothing.
const ETAG_OF_NOTHING: &str = "\"00000000000000000000000000000000\"";

/// What becomes of a write whose condition does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// It is refused.
    Honoured,
    /// It is refused where the key must be new, and else done all the same.
    HonouredWhereNew,
    /// It is done all the same: of two writers, the last one wins.
    Ignored,
    /// Nobody asked, or the answer says neither.
    Unknown,
}

/// What the server did with a write that it should have refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Taken,
}

impl Conditions {
    /// What is known before a server was asked.
    pub(crate) fn of(profile: Profile) -> Option<Conditions> {
        match profile {
            Profile::Aws => Some(Conditions::Honoured),
            Profile::Generic => None,
        }
    }
}

impl Store {
    /// What [`Store::probe_conditions`] found.
    pub fn conditions(&self) -> Conditions {
        self.conditions.get().copied().unwrap_or(Conditions::Unknown)
    }

    /// Asks a server that is none of AWS's, once: what it answered is known from
    /// then on, to all clones. It may write one small object below `prefix`,
    /// which stays.
    pub async fn probe_conditions(&self, prefix: &KeyPrefix, retry_for: Duration) -> Conditions {
        let asking = || async { self.ask_for_conditions(prefix, retry_for).await };
        *self.conditions.get_or_init(asking).await
    }

    async fn ask_for_conditions(&self, prefix: &KeyPrefix, retry_for: Duration) -> Conditions {
        let answer = match probe_key(prefix) {
            Ok(key) => self.put_in_vain(&key, retry_for).await,
            Err(err) => Err(err),
        };
        answer.unwrap_or_else(|err| {
            tracing::warn!(
                event = "conditions_unknown",
                key = %err.subject,
                cause = err.source.as_ref().map(tracing::field::display),
                "{err}; whether the store honours conditional writes is not known"
            );
            Conditions::Unknown
        })
    }

    async fn put_in_vain(&self, key: &Key, retry_for: Duration) -> Result<Conditions, StoreError> {
        let when_new = || self.put_probe(key, Overwrite::Never, retry_for);
        let when_nothing = Overwrite::Only { etag: ETAG_OF_NOTHING.to_owned() };
        // The first may be right to succeed: there was nothing.
        if when_new().await? == Outcome::Taken && when_new().await? == Outcome::Taken {
            return Ok(Conditions::Ignored);
        }
        Ok(match self.put_probe(key, when_nothing, retry_for).await? {
            Outcome::Refused => Conditions::Honoured,
            Outcome::Taken => Conditions::HonouredWhereNew,
        })
    }

    /// Not by the one upload path: that would take an object of the same bytes
    /// for its own, written by an earlier try.
    async fn put_probe(
        &self,
        key: &Key,
        overwrite: Overwrite,
        retry_for: Duration,
    ) -> Result<Outcome, StoreError> {
        let put = self.retry(retry_for, || {
            let put = self.client.put_object().bucket(self.bucket()).key(key.as_str());
            let put = put.set_if_none_match(overwrite.if_none_match());
            let put = put.set_if_match(overwrite.if_match());
            let put = put.content_type("text/plain").body(PROBE_BODY.to_vec().into());
            self.call("put", key, put.send())
        });
        match put.await {
            Ok(_) => Ok(Outcome::Taken),
            Err(err) if err.kind == Kind::Precondition => Ok(Outcome::Refused),
            Err(err) => Err(err),
        }
    }
}

fn probe_key(prefix: &KeyPrefix) -> Result<Key, StoreError> {
    let text = format!("{prefix}{PROBE_NAME}");
    Key::parse(&text).map_err(|err| StoreError::new("put", &text, Kind::Permanent).because(err))
}
