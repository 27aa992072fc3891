//! The audit: asks S3 about every object of one backup and compares the answers with
//! the manifest. It downloads only the manifest and thaws nothing.
//!
//! S3 keeps the checksum of an object and computes it again when it copies one. So an
//! object with the right length and CRC64NVME is the one that was sent. If the server
//! reports no checksum, the ETag must be the one from the upload.

mod problem;

use futures::StreamExt;
use s3up_core::storage_class::is_archive_class;
use s3up_core::{Crc64Nvme, Key, error_chain};
use s3up_store::{ObjectFacts, Profile, Sse, StoreError, StoreErrorKind, is_etag_reported};

pub use self::problem::{AuditFinding, ObjectProblem};
use crate::chain::ChainEntry;
use crate::documents::{Bucket, ReadChainError};
use crate::layout::STANDARD;
use crate::manifest::{DocumentError, ManifestChunk};

/// Hides the latency of each call, and stays far below the limits of S3.
const HEADS_IN_FLIGHT: usize = 16;

/// The properties that objects must have besides their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedSettings {
    Nothing,
    /// The storage class in the manifest, and this encryption.
    ClassAndEncryption {
        sse: Sse,
        profile: Profile,
    },
}

/// Result of an audit.
#[derive(Debug, Default)]
pub struct AuditReport {
    pub objects: usize,
    /// Length of all chunks.
    pub bytes: u64,
    /// Number of chunks without a checksum to compare.
    pub without_checksum: usize,
    pub findings: Vec<AuditFinding>,
    /// `None` if the manifest cannot be read.
    pub entry: Option<ChainEntry>,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An object to ask S3 about.
enum AuditTarget {
    Document(Key),
    Chunk(Key, ManifestChunk),
}

impl AuditTarget {
    fn key(&self) -> &Key {
        match self {
            AuditTarget::Document(key) | AuditTarget::Chunk(key, _) => key,
        }
    }
}

/// Reads a manifest, and audits it and every object that it names.
pub async fn check(
    bucket: &Bucket,
    manifest: Key,
    expected: &ExpectedSettings,
) -> Result<AuditReport, AuditError> {
    let mut checked = AuditReport::default();
    let entry = match bucket.entry(manifest.clone()).await {
        Ok(entry) => entry,
        Err(ReadChainError::Store(err)) if err.kind == StoreErrorKind::Archived => {
            let found = bucket.store.head(&manifest, None, bucket.retry_for).await?;
            let class = found.and_then(|found| found.storage_class);
            let class = class.unwrap_or_else(|| "unknown class".to_owned());
            checked.found(&manifest, ObjectProblem::ArchivedManifest { class });
            return Ok(checked);
        }
        Err(ReadChainError::Store(err)) if err.kind != StoreErrorKind::TooLong => {
            return Err(err.into());
        }
        Err(err) => {
            checked.found(&manifest, ObjectProblem::Chain { reason: error_chain(&err) });
            return Ok(checked);
        }
    };
    let wanted = match wanted(&entry) {
        Ok(wanted) => wanted,
        Err(err) => {
            checked.found(&manifest, ObjectProblem::Chain { reason: error_chain(&err) });
            return Ok(checked);
        }
    };
    let class = entry.manifest.s3.storage_class.clone();
    // The bucket is cloned because the future must be `Send`.
    let heads = wanted.into_iter().map(|wanted| {
        let bucket = bucket.clone();
        async move {
            let found = bucket.store.head(wanted.key(), None, bucket.retry_for).await;
            (wanted, found)
        }
    });
    let mut heads = futures::stream::iter(heads).buffered(HEADS_IN_FLIGHT);
    while let Some((wanted, found)) = heads.next().await {
        checked.compare(&wanted, found?.as_ref(), class.as_deref(), expected);
    }
    drop(heads);
    checked.entry = Some(entry);
    Ok(checked)
}

fn wanted(entry: &ChainEntry) -> Result<Vec<AuditTarget>, DocumentError> {
    let key = |field: &str, text: &str| {
        Key::parse(text)
            .map_err(|err| DocumentError::Field { field: field.to_owned(), what: err.to_string() })
    };
    let mut wanted = vec![AuditTarget::Document(entry.key.clone())];
    if let Some(parts) = &entry.manifest.parts {
        wanted.push(AuditTarget::Document(key("parts.key", &parts.key)?));
    }
    for chunk in &entry.manifest.chunks {
        wanted.push(AuditTarget::Chunk(key("chunks.key", &chunk.key)?, chunk.clone()));
    }
    Ok(wanted)
}

impl AuditReport {
    /// Returns the first finding that makes the backup unrestorable.
    pub fn damage(&self) -> Option<&AuditFinding> {
        self.findings.iter().find(|finding| finding.problem.is_damage())
    }

    fn found(&mut self, key: &Key, problem: ObjectProblem) {
        self.findings.push(AuditFinding { key: key.as_str().to_owned(), problem });
    }

    fn compare(
        &mut self,
        wanted: &AuditTarget,
        found: Option<&ObjectFacts>,
        class: Option<&str>,
        expected: &ExpectedSettings,
    ) {
        let key = wanted.key();
        self.objects += 1;
        let Some(found) = found else { return self.found(key, ObjectProblem::Missing) };
        if let AuditTarget::Chunk(_, chunk) = wanted {
            self.bytes += found.size;
            match content(chunk, found) {
                Content::Same => {}
                Content::Unknown => self.without_checksum += 1,
                Content::Differs(problem) => self.found(key, problem),
            }
        }
        if let (AuditTarget::Document(_), Some(class)) = (wanted, &found.storage_class)
            && is_archive_class(Some(class))
        {
            self.found(key, ObjectProblem::ArchivedDocument { class: class.clone() });
        }
        let ExpectedSettings::ClassAndEncryption { sse, profile } = expected else { return };
        if let (AuditTarget::Chunk(..), Some(class)) = (wanted, class)
            && let Some(problem) = other_class(class, found.storage_class.as_deref(), *profile)
        {
            self.found(key, problem);
        }
        if let Some(problem) = other_encryption(sse, found.sse.as_deref()) {
            self.found(key, problem);
        }
    }
}

/// Compares an object with the one that was sent.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Same,
    Unknown,
    Differs(ObjectProblem),
}

fn content(chunk: &ManifestChunk, found: &ObjectFacts) -> Content {
    if chunk.size != found.size {
        return Content::Differs(ObjectProblem::Size { expected: chunk.size, found: found.size });
    }
    let crc = chunk.crc64nvme.as_deref().and_then(|text| Crc64Nvme::parse(text).ok());
    let (expected, found) = match (crc, found.crc64nvme, &chunk.etag) {
        (Some(expected), Some(found), _) => (expected.to_string(), found.to_string()),
        (_, _, Some(etag)) if is_etag_reported(etag) && is_etag_reported(&found.etag) => {
            (bare(etag).to_owned(), bare(&found.etag).to_owned())
        }
        (_, _, Some(_) | None) => return Content::Unknown,
    };
    match expected == found {
        true => Content::Same,
        false => Content::Differs(ObjectProblem::Checksum { expected, found }),
    }
}

/// Removes the quotes, which some tools write and others do not.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

fn other_class(expected: &str, found: Option<&str>, profile: Profile) -> Option<ObjectProblem> {
    // Many servers have one storage class and report none.
    if found.is_none() && profile == Profile::Generic {
        return None;
    }
    let found = found.unwrap_or(STANDARD);
    (found != expected)
        .then(|| ObjectProblem::Class { expected: expected.to_owned(), found: found.to_owned() })
}

fn other_encryption(expected: &Sse, found: Option<&str>) -> Option<ObjectProblem> {
    let (expected, is_right) = match expected {
        Sse::Unset => return None,
        // An object that is encrypted with a KMS key is encrypted, too.
        Sse::Aes256 => ("AES256", found.is_some()),
        Sse::Kms { .. } => ("aws:kms", found.is_some_and(|found| found.starts_with("aws:kms"))),
    };
    let found = found.unwrap_or("none").to_owned();
    (!is_right).then_some(ObjectProblem::Encryption { expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRC: &str = "AAAAAAAAAAA=";

    fn facts(size: u64, crc: Option<&str>, etag: &str) -> ObjectFacts {
        ObjectFacts {
            size,
            etag: etag.to_owned(),
            version_id: None,
            content_type: None,
            modified_at: std::time::SystemTime::UNIX_EPOCH,
            metadata: Default::default(),
            sha256: None,
            crc64nvme: crc.map(|text| Crc64Nvme::parse(text).unwrap()),
            storage_class: None,
            sse: None,
        }
    }

    fn chunk(crc: Option<&str>, etag: Option<&str>) -> ManifestChunk {
        let chunk = crate::testing::entry(0, None).manifest.chunks[0].clone();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        ManifestChunk { crc64nvme: owned(crc), etag: owned(etag), ..chunk }
    }

    #[test]
    fn an_object_is_compared_by_length_checksum_and_etag() {
        const OTHER: &str = "AAAAAAAAAAE=";
        #[rustfmt::skip]
        let cases = [
            // situation            manifest            object               is
            ("right",               Some(CRC), None,    10, Some(CRC), "",   "same"),
            ("shorter",             Some(CRC), None,     9, Some(CRC), "",   "size"),
            ("other content",       Some(CRC), None,    10, Some(OTHER), "", "checksum"),
            ("CRC before ETag",     Some(CRC), Some("a"), 10, Some(CRC), "b", "same"),
            ("no CRC in S3",        Some(CRC), Some("a"), 10, None, "\"a\"", "same"),
            ("none in manifest",    None, Some("\"a\""), 10, Some(CRC), "a", "same"),
            ("another ETag",        None, Some("a"),    10, None, "b",       "checksum"),
            ("nothing known",       None, None,         10, None, "b",       "unknown"),
            ("wrong length",        None, None,          9, None, "b",       "size"),
        ];
        for (situation, crc, etag, size, found_crc, found_etag, want) in cases {
            let got = match content(&chunk(crc, etag), &facts(size, found_crc, found_etag)) {
                Content::Same => "same",
                Content::Unknown => "unknown",
                Content::Differs(what) => what.as_str(),
            };
            assert_eq!(got, want, "{situation}");
        }
    }

    #[test]
    fn class_and_encryption_are_compared_with_the_settings() {
        let class = |expected, found, profile| other_class(expected, found, profile).is_some();
        assert!(!class("DEEP_ARCHIVE", Some("DEEP_ARCHIVE"), Profile::Aws));
        assert!(class("DEEP_ARCHIVE", None, Profile::Aws));
        assert!(class("DEEP_ARCHIVE", Some("GLACIER"), Profile::Generic));
        assert!(!class("DEEP_ARCHIVE", None, Profile::Generic));
        assert!(!class("STANDARD", None, Profile::Aws));
        let sse = |expected: Sse, found| other_encryption(&expected, found).is_some();
        assert!(!sse(Sse::Aes256, Some("AES256")) && !sse(Sse::Aes256, Some("aws:kms")));
        assert!(sse(Sse::Aes256, None) && !sse(Sse::Unset, None));
        assert!(sse(Sse::Kms { key_id: None }, Some("AES256")));
        assert!(!sse(Sse::Kms { key_id: None }, Some("aws:kms:dsse")));
    }
}
