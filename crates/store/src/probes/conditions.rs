//! Finds out which conditional writes the server honours.
//!
//! An object whose key must be new is written with `If-None-Match: *`, and a
//! pointer with `If-Match`. Some servers ignore these headers, and then the last
//! writer wins; some answer 501; some compare the ETag without its quotes and
//! refuse the right one. So any server but AWS is probed before it matters, each
//! call by itself: a condition that does not hold must be refused, and one that
//! holds must be taken.
//!
//! The probe of PutObject uses a small object under a fixed key. That object stays:
//! removing it would need a right that the documented set-ups do not grant, and if
//! two hosts probed at the same moment, one would remove the object because of which
//! the other expects a refusal. Its metadata says by which condition it was written,
//! so that the next probe need not write it again.
//!
//! Not here: what follows from the result (`capabilities`), which each program
//! decides.

use std::time::Duration;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use s3up_core::{Key, KeyPrefix};

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::etag::{is_reported, unquoted};
use crate::transport::capabilities::{Capabilities, Condition, Conditions};
use crate::transport::connect::Store;

/// No client of a gateway and no directory of a backup can have this name.
pub(crate) const PROBE_NAME: &str = ".s3up-probe";
const PROBE_BODY: &[u8] =
    b"Written by s3up to see whether this store honours If-None-Match and If-Match.\n";
/// No server generates this ETag.
const ETAG_OF_NO_OBJECT: &str = "\"00000000000000000000000000000000\"";
/// User metadata of the probe object: the condition that it was last written by.
const WRITTEN_BY: &str = "written-by";
/// Another host may replace the probe object between two of our calls.
const RIGHT_ETAG_ATTEMPTS_MAX: u32 = 3;

/// The condition of a probing write.
#[derive(Clone, Debug)]
enum ProbedCondition {
    None,
    IfNoneMatch,
    IfMatch(String),
}

/// The answer to a probing write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Written,
    NotImplemented,
}

impl Store {
    /// Returns what is known about the server.
    pub fn capabilities(&self) -> Capabilities {
        self.learned.get()
    }

    /// Returns which conditions the server is known to honour.
    pub fn conditions(&self) -> Conditions {
        self.learned.get().conditions
    }

    /// Probes the conditions of PutObject of any server but AWS, once for all clones
    /// of this store; a probe that failed is made again by the next call. May leave
    /// one small object below `prefix`.
    pub async fn probe_conditions(&self, prefix: &KeyPrefix, retry_for: Duration) -> Conditions {
        let probing = || async {
            if self.is_assumed_whole() {
                return Ok(());
            }
            let (if_none_match, if_match) = self.probe_puts(prefix, retry_for).await?;
            self.learned.learn(|known| {
                known.conditions.put_if_none_match = if_none_match;
                known.conditions.put_if_match = if_match;
            });
            Ok(())
        };
        if let Err(err) = self.probed.puts.get_or_try_init(probing).await {
            warn_unknown(&err);
        }
        self.conditions()
    }

    /// Probes the conditions of CompleteMultipartUpload likewise, against the object
    /// that [`Store::probe_conditions`] left.
    pub async fn probe_completions(&self, prefix: &KeyPrefix, retry_for: Duration) -> Conditions {
        self.probe_conditions(prefix, retry_for).await;
        let probing = || async {
            if self.is_assumed_whole() {
                return Ok(());
            }
            let (if_none_match, if_match) = self.probe_completes(prefix, retry_for).await?;
            self.learned.learn(|known| {
                known.conditions.complete_if_none_match = if_none_match;
                known.conditions.complete_if_match = if_match;
            });
            Ok(())
        };
        if let Err(err) = self.probed.completions.get_or_try_init(probing).await {
            warn_unknown(&err);
        }
        self.conditions()
    }

    /// AWS honours every condition; its profile says so before the first call.
    fn is_assumed_whole(&self) -> bool {
        self.settings.profile == crate::settings::Profile::Aws
    }

    async fn probe_puts(
        &self,
        prefix: &KeyPrefix,
        retry_for: Duration,
    ) -> Result<(Condition, Condition), StoreError> {
        let key = probe_key(prefix, "")?;
        let put = |header| self.put_probe(&key, header, retry_for);
        // The first write may rightly succeed: the probe may not exist yet.
        let mut first = put(ProbedCondition::IfNoneMatch).await?;
        if first == Outcome::Written {
            first = put(ProbedCondition::IfNoneMatch).await?;
        }
        let if_none_match = match first {
            Outcome::Refused => Condition::Honoured,
            Outcome::Written => Condition::Ignored,
            Outcome::NotImplemented => {
                // The next probe needs an object.
                put(ProbedCondition::None).await?;
                Condition::Refused
            }
        };
        let if_match = match put(ProbedCondition::IfMatch(ETAG_OF_NO_OBJECT.to_owned())).await? {
            Outcome::Written => Condition::Ignored,
            Outcome::NotImplemented => Condition::Refused,
            Outcome::Refused => self.probe_right_etag(&key, retry_for).await?,
        };
        Ok((if_none_match, if_match))
    }

    /// Writes the probe over itself, by the ETag that it has.
    async fn probe_right_etag(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<Condition, StoreError> {
        for _ in 0..RIGHT_ETAG_ATTEMPTS_MAX {
            let Some(found) = self.head(key, None, retry_for).await? else { continue };
            if !is_reported(&found.etag) {
                return Ok(Condition::Unknown);
            }
            let bare = unquoted(&found.etag).to_owned();
            match found.metadata.get(WRITTEN_BY).map(String::as_str) {
                Some("if-match") => return Ok(Condition::Honoured),
                Some("if-match-unquoted") => return Ok(Condition::HonouredUnquoted),
                Some(_) | None => {}
            }
            if self
                .put_probe(key, ProbedCondition::IfMatch(format!("\"{bare}\"")), retry_for)
                .await?
                == Outcome::Written
            {
                return Ok(Condition::Honoured);
            }
            if self.put_probe(key, ProbedCondition::IfMatch(bare), retry_for).await?
                == Outcome::Written
            {
                return Ok(Condition::HonouredUnquoted);
            }
        }
        Ok(Condition::NeverHolds)
    }

    /// Does not use the ordinary upload, which takes an object with the same
    /// bytes for its own, written by an earlier attempt.
    async fn put_probe(
        &self,
        key: &Key,
        header: ProbedCondition,
        retry_for: Duration,
    ) -> Result<Outcome, StoreError> {
        let put = self.retry(retry_for, || {
            let put = self.client.put_object().bucket(self.bucket()).key(key.as_str());
            let (put, written_by) = match &header {
                ProbedCondition::None => (put, "no-condition"),
                ProbedCondition::IfNoneMatch => (put.if_none_match("*"), "if-none-match"),
                ProbedCondition::IfMatch(etag) => (put.if_match(etag), written_by(etag)),
            };
            let put = put.metadata(WRITTEN_BY, written_by);
            let put = put.content_type("text/plain").body(PROBE_BODY.to_vec().into());
            self.call(Operation::Put, key, put.send())
        });
        outcome(put.await.map(|_| ()))
    }

    async fn probe_completes(
        &self,
        prefix: &KeyPrefix,
        retry_for: Duration,
    ) -> Result<(Condition, Condition), StoreError> {
        let key = probe_key(prefix, "")?;
        let if_none_match =
            match self.complete_probe(&key, ProbedCondition::IfNoneMatch, retry_for).await? {
                Outcome::Refused => Condition::Honoured,
                Outcome::Written => Condition::Ignored,
                Outcome::NotImplemented => Condition::Refused,
            };
        let wrong = ProbedCondition::IfMatch(ETAG_OF_NO_OBJECT.to_owned());
        let if_match = match self.complete_probe(&key, wrong, retry_for).await? {
            Outcome::Written => Condition::Ignored,
            Outcome::NotImplemented => Condition::Refused,
            // The ETag is compared as it is on a PUT; a completion with the right
            // one would write another version at every start.
            Outcome::Refused => match self.conditions().put_if_match {
                Condition::HonouredUnquoted => Condition::HonouredUnquoted,
                Condition::NeverHolds => Condition::NeverHolds,
                Condition::Unknown
                | Condition::Honoured
                | Condition::Ignored
                | Condition::Refused => Condition::Honoured,
            },
        };
        Ok((if_none_match, if_match))
    }

    /// Completes an upload of one part over the probe object.
    async fn complete_probe(
        &self,
        key: &Key,
        header: ProbedCondition,
        retry_for: Duration,
    ) -> Result<Outcome, StoreError> {
        let (bucket, name) = (self.bucket(), key.as_str());
        let created = self.retry(retry_for, || {
            let create = self.client.create_multipart_upload().bucket(bucket).key(name);
            self.call(Operation::StartUpload, key, create.content_type("text/plain").send())
        });
        let Some(upload_id) = created.await?.upload_id else {
            return Err(StoreError::new(Operation::StartUpload, key, StoreErrorKind::Unreadable)
                .with_cause("the answer has no upload ID"));
        };
        let outcome = self.complete_probe_part(key, &upload_id, header, retry_for).await;
        if !matches!(outcome, Ok(Outcome::Written)) {
            self.abort_upload(name, &upload_id, retry_for).await?;
        }
        outcome
    }

    async fn complete_probe_part(
        &self,
        key: &Key,
        upload_id: &str,
        header: ProbedCondition,
        retry_for: Duration,
    ) -> Result<Outcome, StoreError> {
        let (bucket, name) = (self.bucket(), key.as_str());
        let part = self.retry(retry_for, || {
            let part = self.client.upload_part().bucket(bucket).key(name).upload_id(upload_id);
            let part = part.part_number(1).body(PROBE_BODY.to_vec().into());
            self.call(Operation::PutPart, key, part.send())
        });
        let part = CompletedPart::builder().part_number(1).set_e_tag(part.await?.e_tag).build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let mut attempts = 0;
        let complete = self.retry(retry_for, || {
            attempts += 1;
            let complete = self.client.complete_multipart_upload().bucket(bucket).key(name);
            let complete = complete.upload_id(upload_id).multipart_upload(parts.clone());
            let complete = match &header {
                ProbedCondition::None => complete,
                ProbedCondition::IfNoneMatch => complete.if_none_match("*"),
                ProbedCondition::IfMatch(etag) => complete.if_match(etag),
            };
            self.call(Operation::CompleteUpload, key, complete.send())
        });
        match complete.await {
            // An earlier attempt was completed, and its answer was lost.
            Err(err) if err.kind == StoreErrorKind::NoUpload && attempts > 1 => {
                Ok(Outcome::Written)
            }
            answer => outcome(answer.map(|_| ())),
        }
    }
}

fn written_by(etag: &str) -> &'static str {
    match etag {
        ETAG_OF_NO_OBJECT => "if-match-of-another-object",
        quoted if quoted.starts_with('"') => "if-match",
        _ => "if-match-unquoted",
    }
}

fn outcome(answer: Result<(), StoreError>) -> Result<Outcome, StoreError> {
    match answer {
        Ok(()) => Ok(Outcome::Written),
        Err(err) if err.kind == StoreErrorKind::Precondition => Ok(Outcome::Refused),
        Err(err) if err.kind == StoreErrorKind::NotImplemented => Ok(Outcome::NotImplemented),
        Err(err) => Err(err),
    }
}

fn warn_unknown(err: &StoreError) {
    tracing::warn!(
        event = "conditions_unknown",
        key = %err.subject,
        cause = err.source.as_ref().map(tracing::field::display),
        "cannot find out whether S3 honours conditional writes: {err}"
    );
}

/// Returns the key of a probe object; `kind` distinguishes the probe objects.
pub(crate) fn probe_key(prefix: &KeyPrefix, kind: &str) -> Result<Key, StoreError> {
    let text = format!("{prefix}{PROBE_NAME}{kind}");
    Key::parse(&text).map_err(|err| {
        StoreError::new(Operation::Put, &text, StoreErrorKind::Permanent).with_cause(err)
    })
}
