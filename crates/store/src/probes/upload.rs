//! Makes one probe upload with the class, encryption and condition of the uploads that
//! follow, in two parts, so that a missing right, class, encryption or ETag shows before
//! the first chunk, and not on the day of the restore.
//!
//! Its object stays, one for each class and encryption: it records that the probe was
//! made, and what it found about completions and the number of parts, so that a later run
//! need not ask again.
//!
//! Not here: what follows from the result (`findings`).

use std::time::Duration;

use s3up_core::part::PART_BYTES_MIN;
use s3up_core::storage_class::is_archive_class;
use s3up_core::{Key, KeyPrefix, error_chain};

use crate::error::{Operation, StoreError, StoreErrorKind, UploadError};
use crate::objects::etag::is_reported;
use crate::objects::facts::ObjectFacts;
use crate::overwrite::Overwrite;
use crate::probes::conditions::probe_key;
use crate::settings::{Profile, Sse};
use crate::transport::capabilities::{Archive, Capabilities, Condition, Reported};
use crate::transport::connect::Store;
use crate::upload::attributes::ObjectAttributes;
use crate::upload::part_splitter::Length;
use crate::upload::put::Put;

/// User metadata of the object: the condition of completions.
const COMPLETIONS: &str = "complete-if-none-match";
/// User metadata of the object: the maximum number of parts, if it is smaller than that of S3.
const PARTS: &str = "parts-max";
/// The last of the two parts.
const LAST_PART_BYTES: u64 = 16;
const STANDARD: &str = "STANDARD";

/// The kind of the uploads that follow.
#[derive(Clone, Debug)]
pub struct ProbeUpload<'a> {
    pub prefix: &'a KeyPrefix,
    /// `None` means the one of the settings.
    pub storage_class: Option<&'a str>,
    /// Time for which a failing call is retried.
    pub retry_for: Duration,
}

impl Store {
    /// Makes one probe upload of this kind, unless an earlier run did, and learns
    /// from it. Leaves one object of 5 MiB below the prefix.
    ///
    /// # Errors
    ///
    /// An upload of this kind cannot succeed.
    pub async fn probe_upload(&self, probe: &ProbeUpload<'_>) -> Result<(), UploadError> {
        let class = probe.storage_class.or(self.settings.storage_class.as_deref());
        let key = probe_key(probe.prefix, &kind_of(class, &self.settings.sse))?;
        if let Some(found) = self.head(&key, None, probe.retry_for).await? {
            self.learn_from_probe(&found, class);
            return Ok(());
        }
        let conditions = self.probe_completions(probe.prefix, probe.retry_for).await;
        let completions = conditions.complete_if_none_match;
        let parts_max = match self.probe_parts(&key, probe.retry_for).await {
            Ok(parts_max) => parts_max,
            // The upload itself will fail for the same reason, or not need many parts.
            Err(err) => {
                let error = error_chain(&err);
                tracing::warn!(
                    event = "parts_not_probed",
                    "cannot find out how many parts an upload may have: {error}"
                );
                None
            }
        };
        if let Err(err) = self.make_probe(&key, probe, (completions, parts_max)).await {
            if let UploadError::Store(err) = err {
                return Err(self.find_refused_setting(probe, class, err).await.into());
            }
            return Err(err);
        }
        let Some(found) = self.head(&key, None, probe.retry_for).await? else {
            let err = StoreError::new(Operation::Head, &key, StoreErrorKind::NotFound);
            return Err(err
                .with_cause("expected the probe object after it was stored, found none")
                .into());
        };
        self.learn_from_probe(&found, class);
        if is_archive_class(class) {
            self.probe_archive(&key, probe.retry_for).await?;
        }
        Ok(())
    }

    /// Probes everything that [`Capabilities`] has, and returns it, with the failure
    /// of the probe upload, if it failed.
    ///
    /// # Errors
    ///
    /// The bucket cannot be listed, or a probe failed in a way that shows nothing.
    pub async fn examine(
        &self,
        probe: &ProbeUpload<'_>,
    ) -> Result<(Capabilities, Option<UploadError>), StoreError> {
        let (prefix, retry_for) = (probe.prefix, probe.retry_for);
        self.probe(prefix, retry_for).await?;
        self.probe_completions(prefix, retry_for).await;
        self.probe_checksums(prefix, retry_for).await?;
        let mut failed = self.probe_upload(probe).await.err();
        let class = probe.storage_class.or(self.settings.storage_class.as_deref());
        if failed.is_none() && is_archive_class(class) {
            let key = probe_key(prefix, &kind_of(class, &self.settings.sse))?;
            failed = self.probe_archive(&key, retry_for).await.err().map(Into::into);
        }
        self.probe_listing(prefix, retry_for).await?;
        Ok((self.capabilities(), failed))
    }

    async fn make_probe(
        &self,
        key: &Key,
        probe: &ProbeUpload<'_>,
        (completions, parts_max): (Condition, Option<u32>),
    ) -> Result<(), UploadError> {
        let parts_max = parts_max.map(|parts_max| (PARTS.to_owned(), parts_max.to_string()));
        let completions = (COMPLETIONS.to_owned(), completions.as_str().to_owned());
        let len = PART_BYTES_MIN + LAST_PART_BYTES;
        let put = Put {
            key: key.clone(),
            length: Length::Exactly(len),
            part_bytes: PART_BYTES_MIN,
            content_type: Some("application/octet-stream".to_owned()),
            metadata: [completions].into_iter().chain(parts_max).collect(),
            expect_sha256: None,
            overwrite: Overwrite::Never,
            storage_class: probe.storage_class.map(str::to_owned),
            in_flight: 2,
            retry_for: probe.retry_for,
            buffer_wait: None,
            share: None,
        };
        let body = tokio::io::AsyncReadExt::take(tokio::io::repeat(0), len);
        match self.upload(put, body).await {
            Ok(_) => Ok(()),
            // Another run of this host made it in this moment.
            Err(UploadError::Store(err)) if err.kind == StoreErrorKind::Precondition => Ok(()),
            Err(err) => Err(err),
        }
    }

    fn learn_from_probe(&self, found: &ObjectFacts, class: Option<&str>) {
        let completions = found.metadata.get(COMPLETIONS).and_then(|word| Condition::parse(word));
        let parts_max = found.metadata.get(PARTS).and_then(|number| number.parse().ok());
        self.learned.learn(|known| {
            known.sse = reported_sse(&self.settings.sse, found.sse.as_deref());
            known.storage_class = reported_class(class, found.storage_class.as_deref());
            known.head_has_etag = Some(is_reported(&found.etag));
            known.parts_max = known.parts_max.or(parts_max);
            let condition = &mut known.conditions.complete_if_none_match;
            if *condition == Condition::Unknown {
                *condition = completions.unwrap_or(Condition::Unknown);
            }
        });
    }

    /// Finds out whether an object of an archive class can be read at once.
    async fn probe_archive(&self, key: &Key, retry_for: Duration) -> Result<(), StoreError> {
        let archive = match self.first_byte(key, retry_for).await {
            Ok(()) => Archive::InNameOnly,
            Err(err) if err.kind == StoreErrorKind::Archived => Archive::Archives,
            Err(err) => return Err(err),
        };
        self.learned.learn(|known| known.archive = archive);
        Ok(())
    }

    /// Reads the first byte of an object, which need not have one.
    pub(crate) async fn first_byte(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        let get = self.retry(retry_for, || {
            let get = self.client.get_object().bucket(self.bucket()).key(key.as_str());
            self.call(Operation::Get, key, get.range("bytes=0-0").send())
        });
        let answer = get.await?;
        let body = tokio::time::timeout(self.settings.timeouts.idle, answer.body.collect());
        match body.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(err)) => {
                Err(StoreError::new(Operation::Get, key, StoreErrorKind::Transient).with_cause(err))
            }
            Err(_) => Err(StoreError::new(Operation::Get, key, StoreErrorKind::Transient)
                .with_cause("no answer")),
        }
    }

    /// Finds out whether the server refuses the encryption or the class, and says so
    /// in the error. A server may answer 500, or what is no S3 at all.
    async fn find_refused_setting(
        &self,
        probe: &ProbeUpload<'_>,
        class: Option<&str>,
        err: StoreError,
    ) -> StoreError {
        let may_be_setting = matches!(
            err.kind,
            StoreErrorKind::Transient
                | StoreErrorKind::Unreadable
                | StoreErrorKind::NotImplemented
                | StoreErrorKind::Permanent
        );
        let Ok(key) = probe_key(probe.prefix, "") else { return err };
        if !may_be_setting || self.put_attributes(&key, None, &Sse::Unset).await.is_err() {
            return err;
        }
        let sse = &self.settings.sse;
        let refuses = async |class, sse| self.put_attributes(&key, class, sse).await.is_err();
        let (setting, fix) = if *sse != Sse::Unset && refuses(None, sse).await {
            ("encryption", "set `sse` to \"none\", and encrypt the disks of the server")
        } else if class.is_some() && refuses(class, &Sse::Unset).await {
            ("storage class", "set it to one that this server has")
        } else {
            return err;
        };
        let said = err.source.as_ref().map(ToString::to_string).unwrap_or_default();
        StoreError::new(err.op, &err.subject, StoreErrorKind::Permanent)
            .with_cause(format!("S3 refuses uploads with the configured {setting} ({said}); {fix}"))
    }

    /// Writes the small probe object with these attributes.
    async fn put_attributes(
        &self,
        key: &Key,
        class: Option<&str>,
        sse: &Sse,
    ) -> Result<(), StoreError> {
        let ObjectAttributes { sse, kms_key_id, .. } = ObjectAttributes::of_sse(sse);
        let put = self.client.put_object().bucket(self.bucket()).key(key.as_str());
        let put = put
            .set_storage_class(class.map(Into::into))
            .set_server_side_encryption(sse)
            .set_ssekms_key_id(kms_key_id)
            .body(b"Written by s3up to see what this store accepts.\n".to_vec().into());
        self.call(Operation::Put, key, put.send()).await.map(|_| ())
    }

    /// Returns true if uploads ask for an encryption or a storage class.
    pub fn asks_for_attributes(&self) -> bool {
        self.settings.sse != Sse::Unset || self.settings.storage_class.is_some()
    }

    /// Returns true if what is archived by its class is served all the same. AWS is
    /// never asked.
    pub(crate) fn may_archive_in_name_only(&self) -> bool {
        self.settings.profile == Profile::Generic && self.learned.get().archive != Archive::Archives
    }
}

/// Returns the end of the key of the probe of this kind.
fn kind_of(class: Option<&str>, sse: &Sse) -> String {
    let sse = match sse {
        Sse::Unset => "plain",
        Sse::Aes256 => "AES256",
        Sse::Kms { .. } => "KMS",
    };
    format!("-{}-{sse}", class.unwrap_or("default"))
}

fn reported_sse(requested: &Sse, found: Option<&str>) -> Reported {
    let (requested, is_right) = match requested {
        Sse::Unset => return Reported::NotRequested,
        Sse::Aes256 => ("AES256", found.is_some()),
        Sse::Kms { .. } => ("aws:kms", found.is_some_and(|found| found.starts_with("aws:kms"))),
    };
    reported(requested, is_right, found)
}

fn reported_class(requested: Option<&str>, found: Option<&str>) -> Reported {
    let Some(requested) = requested else { return Reported::NotRequested };
    reported(requested, found.unwrap_or(STANDARD) == requested, found)
}

fn reported(requested: &str, is_right: bool, found: Option<&str>) -> Reported {
    let (requested, found) = (requested.to_owned(), found.map(str::to_owned));
    if is_right {
        Reported::AsRequested(found.unwrap_or(requested))
    } else {
        Reported::Different { requested, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_requested_for_is_compared_with_what_head_tells() {
        let kms = || Sse::Kms { key_id: None };
        let as_requested = |text: &str| Reported::AsRequested(text.to_owned());
        let different = |requested: &str, found: Option<&str>| Reported::Different {
            requested: requested.to_owned(),
            found: found.map(str::to_owned),
        };
        #[rustfmt::skip]
        let cases = [
            (reported_sse(&Sse::Unset, None),                       Reported::NotRequested),
            (reported_sse(&Sse::Aes256, Some("AES256")),            as_requested("AES256")),
            (reported_sse(&Sse::Aes256, Some("aws:kms")),           as_requested("aws:kms")),
            (reported_sse(&Sse::Aes256, None),                      different("AES256", None)),
            (reported_sse(&kms(), Some("AES256")),                  different("aws:kms", Some("AES256"))),
            (reported_sse(&kms(), Some("aws:kms:dsse")),            as_requested("aws:kms:dsse")),
            (reported_class(None, Some("STANDARD")),                Reported::NotRequested),
            (reported_class(Some("STANDARD"), None),                as_requested("STANDARD")),
            (reported_class(Some("DEEP_ARCHIVE"), Some("DEEP_ARCHIVE")), as_requested("DEEP_ARCHIVE")),
            (reported_class(Some("DEEP_ARCHIVE"), None),            different("DEEP_ARCHIVE", None)),
        ];
        for (found, want) in cases {
            assert_eq!(found, want);
        }
    }

    #[test]
    fn each_kind_has_a_probe_of_its_own() {
        assert_eq!(kind_of(Some("DEEP_ARCHIVE"), &Sse::Aes256), "-DEEP_ARCHIVE-AES256");
        assert_eq!(kind_of(None, &Sse::Unset), "-default-plain");
    }
}
