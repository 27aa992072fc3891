//! The consequences of a server's capabilities for the guarantees, and how to get
//! back one that is missing.
//!
//! Pure: a table from [`Capabilities`] to sentences, which `doctor` and
//! `check-config --online` print, and of which a program logs the ones that it
//! depends on.

use std::fmt;

use s3up_core::Severity;

use crate::transport::capabilities::{
    Archive, Capabilities, Condition, Conditions, ListingOrder, Reported, Verified, Versioning,
};

/// The capability that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    PutIfNoneMatch,
    PutIfMatch,
    CompleteIfNoneMatch,
    CompleteIfMatch,
    Checksums,
    Encryption,
    StorageClass,
    Archive,
    HeadEtag,
    Parts,
    ListingOrder,
    Versions,
}

impl Subject {
    /// Returns the name of the capability in tables, logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Subject::PutIfNoneMatch => "If-None-Match on PutObject",
            Subject::PutIfMatch => "If-Match on PutObject",
            Subject::CompleteIfNoneMatch => "If-None-Match on CompleteMultipartUpload",
            Subject::CompleteIfMatch => "If-Match on CompleteMultipartUpload",
            Subject::Checksums => "checksums of bodies",
            Subject::Encryption => "encryption",
            Subject::StorageClass => "storage class",
            Subject::Archive => "archive",
            Subject::HeadEtag => "ETag in HEAD",
            Subject::Parts => "parts of an upload",
            Subject::ListingOrder => "order of listings",
            Subject::Versions => "versions",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One capability, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub subject: Subject,
    /// The behaviour of the server.
    pub found: String,
    /// The consequence for backups and uploads.
    pub means: String,
    pub fix: Option<&'static str>,
}

const ONE_WRITER: &str = "let only one host or gateway write below this prefix";
const NO_BLIND_WRITE: &str = "a write never replaces an object unseen";

impl Finding {
    fn good(subject: Subject, found: &str, means: &str) -> Finding {
        let (found, means) = (found.to_owned(), means.to_owned());
        Finding { severity: Severity::Ok, subject, found, means, fix: None }
    }

    fn note(subject: Subject, found: &str, means: &str) -> Finding {
        Finding { severity: Severity::Note, ..Finding::good(subject, found, means) }
    }

    fn warning(subject: Subject, found: &str, means: &str, fix: &'static str) -> Finding {
        let fix = Some(fix);
        Finding { severity: Severity::Warning, fix, ..Finding::good(subject, found, means) }
    }

    fn problem(subject: Subject, found: &str, means: &str, fix: &'static str) -> Finding {
        let fix = Some(fix);
        Finding { severity: Severity::Problem, fix, ..Finding::good(subject, found, means) }
    }
}

/// Returns a finding for each capability, the good ones too.
pub fn findings(capabilities: &Capabilities) -> Vec<Finding> {
    let mut all = condition_findings(capabilities.conditions);
    all.extend([
        verification(capabilities),
        encryption(&capabilities.sse),
        storage_class(&capabilities.storage_class),
        archive(capabilities.archive),
        etag(capabilities.head_has_etag),
        parts(capabilities.parts_max),
        listing(capabilities.listing_order),
        versioning(capabilities.versioning),
    ]);
    all
}

/// Returns the findings about conditional writes.
pub fn condition_findings(conditions: Conditions) -> Vec<Finding> {
    let Conditions { put_if_none_match, put_if_match, complete_if_none_match, complete_if_match } =
        conditions;
    vec![
        condition(
            Subject::PutIfNoneMatch,
            put_if_none_match,
            "of two writers of a new key, the last one wins",
        ),
        condition(
            Subject::PutIfMatch,
            put_if_match,
            "of two hosts that publish at the same moment, the last one wins",
        ),
        condition(
            Subject::CompleteIfNoneMatch,
            complete_if_none_match,
            "of two writers of a new key of several parts, the last one wins",
        ),
        condition(
            Subject::CompleteIfMatch,
            complete_if_match,
            "of two writers of a document of several parts, the last one wins",
        ),
    ]
}

fn condition(subject: Subject, condition: Condition, lost: &str) -> Finding {
    let guarded = format!("the key is checked before each write; {lost}");
    match condition {
        Condition::Honoured => Finding::good(subject, "honoured", NO_BLIND_WRITE),
        Condition::HonouredUnquoted => {
            Finding::good(subject, "honoured, for an ETag without quotes", NO_BLIND_WRITE)
        }
        Condition::NeverHolds => {
            let found = "refused even if the condition holds";
            Finding::warning(subject, found, &guarded, ONE_WRITER)
        }
        Condition::Ignored => Finding::warning(subject, "ignored", &guarded, ONE_WRITER),
        Condition::Refused => Finding::warning(subject, "not implemented", &guarded, ONE_WRITER),
        Condition::Unknown => Finding::note(subject, "not known", "it was not probed"),
    }
}

fn verification(capabilities: &Capabilities) -> Finding {
    let subject = Subject::Checksums;
    let verified = capabilities.verifications;
    let names = [
        (verified.crc64nvme, "CRC64NVME"),
        (verified.content_md5, "Content-MD5"),
        (verified.payload_sha256, "signed SHA-256"),
    ];
    let of = |wanted: Verified| {
        let found = names.iter().filter(|(verified, _)| *verified == wanted);
        found.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    };
    let (yes, no) = (of(Verified::Yes), of(Verified::No));
    let https = "use an `https://` endpoint, which protects bodies in transit, or another server";
    if verified.crc64nvme == Verified::Yes {
        let means = "a body that is damaged in transit is refused";
        Finding::good(subject, &format!("verifies {yes}"), means)
    } else if verified.payload_sha256 == Verified::Yes {
        let means = "a body that is damaged in transit is refused, which costs a second hash";
        Finding::good(subject, &format!("verifies {yes}"), means)
    } else if !yes.is_empty() {
        let means = "a body that is damaged in transit is stored: only Content-MD5 is verified, which \
                     s3up does not send";
        Finding::warning(subject, &format!("verifies {yes}; not {no}"), means, https)
    } else if no.is_empty() {
        Finding::note(subject, "not known", "it was not probed")
    } else {
        let means = "a body that is damaged in transit is stored";
        Finding::problem(subject, &format!("does not verify {no}"), means, https)
    }
}

fn encryption(sse: &Reported) -> Finding {
    let subject = Subject::Encryption;
    match sse {
        Reported::NotRequested => Finding::note(subject, "not requested", "uploads request none"),
        Reported::AsRequested(sse) => {
            let means =
                "HEAD reports the requested encryption, which cannot be verified from outside";
            Finding::good(subject, sse, means)
        }
        Reported::Different { requested, found } => Finding::problem(
            subject,
            &format!("expected {requested}, found {}", found.as_deref().unwrap_or("none")),
            "the server accepted the request and does not encrypt as requested",
            "set `sse` to \"none\" and encrypt the disks of the server, or set up its encryption",
        ),
    }
}

fn storage_class(class: &Reported) -> Finding {
    let subject = Subject::StorageClass;
    match class {
        Reported::NotRequested => Finding::note(subject, "not requested", "uploads request none"),
        Reported::AsRequested(class) => {
            Finding::good(subject, class, "objects have the requested class")
        }
        Reported::Different { requested, found } => Finding::warning(
            subject,
            &format!("expected {requested}, found {}", found.as_deref().unwrap_or("none")),
            "the server has no such class; objects cost what its own class costs",
            "set the storage class to one that the server has, for example STANDARD",
        ),
    }
}

fn archive(archive: Archive) -> Finding {
    let subject = Subject::Archive;
    match archive {
        Archive::Unknown => {
            Finding::note(subject, "not known", "no object of an archive class was read")
        }
        Archive::Archives => {
            Finding::good(subject, "archives", "objects must be thawed before a restore")
        }
        Archive::InNameOnly => Finding::warning(
            subject,
            "in name only",
            "the server serves objects of an archive class at once, so a restore thaws nothing",
            "set the storage class to STANDARD, which says what the server does",
        ),
    }
}

fn etag(head_has_etag: Option<bool>) -> Finding {
    let subject = Subject::HeadEtag;
    match head_has_etag {
        None => Finding::note(subject, "not known", "no answer to HEAD was seen"),
        Some(true) => Finding::good(subject, "returned", "a download never mixes two versions"),
        Some(false) => Finding::warning(
            subject,
            "not returned",
            "versions are distinguished by size, date and checksum; a download of an object that \
             is replaced meanwhile may mix both, which its checksum finds",
            "configure the server to return ETags (JuiceFS gateway: `--keep-etag`)",
        ),
    }
}

fn parts(parts_max: Option<u32>) -> Finding {
    let subject = Subject::Parts;
    match parts_max {
        None => Finding::note(subject, "10,000 assumed", "the limit of S3; no smaller one was met"),
        Some(parts_max) => Finding::warning(
            subject,
            &format!("at most {parts_max}"),
            "an upload that needs more parts fails",
            "set `parts_max` to this number; parts then become longer",
        ),
    }
}

fn listing(order: ListingOrder) -> Finding {
    let subject = Subject::ListingOrder;
    match order {
        ListingOrder::Unknown => Finding::note(subject, "not known", "it was not probed"),
        ListingOrder::Bytes => Finding::good(subject, "by bytes", "as S3 lists"),
        ListingOrder::Other => {
            Finding::note(subject, "another order than S3", "nothing here depends on it")
        }
    }
}

fn versioning(versioning: Option<Versioning>) -> Finding {
    let subject = Subject::Versions;
    let fix = "enable versioning on the bucket";
    match versioning {
        Some(Versioning::Enabled) => {
            Finding::good(subject, "kept", "overwritten and deleted objects can be recovered")
        }
        Some(Versioning::Off) => Finding::warning(
            subject,
            "not kept",
            "overwritten and deleted objects cannot be recovered",
            fix,
        ),
        Some(Versioning::Unknown) | None => Finding::note(
            subject,
            "not known",
            "the server did not report it, so overwritten and deleted objects may not be recoverable",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::Severity::{Note, Ok, Problem, Warning};
    use super::*;
    use crate::transport::capabilities::Verifications;

    fn reported(found: Option<&str>) -> Reported {
        Reported::Different { requested: "AES256".to_owned(), found: found.map(str::to_owned) }
    }

    fn verifies(crc64nvme: Verified, content_md5: Verified, payload_sha256: Verified) -> Finding {
        let verifications = Verifications { crc64nvme, content_md5, payload_sha256 };
        verification(&Capabilities { verifications, ..Capabilities::default() })
    }

    #[test]
    fn each_capability_has_its_weight_and_its_words() {
        use Verified::{No, Refused, Unknown, Yes};
        let of = |known| condition(Subject::PutIfMatch, known, "the last one wins");
        #[rustfmt::skip]
        let cases = [
            (of(Condition::Honoured),                Ok,    "honoured"),
            (of(Condition::HonouredUnquoted),        Ok,    "honoured, for an ETag without quotes"),
            (of(Condition::NeverHolds),              Warning, "refused even if the condition holds"),
            (of(Condition::Ignored),                 Warning, "ignored"),
            (of(Condition::Refused),                 Warning, "not implemented"),
            (of(Condition::Unknown),                 Note,    "not known"),
            (verifies(Yes, Yes, Yes),                Ok,    "verifies CRC64NVME, Content-MD5, signed SHA-256"),
            (verifies(Refused, No, Yes),             Ok,    "verifies signed SHA-256"),
            (verifies(No, Yes, No),                  Warning, "verifies Content-MD5; not CRC64NVME, signed SHA-256"),
            (verifies(No, No, No),                   Problem, "does not verify CRC64NVME, Content-MD5, signed SHA-256"),
            (verifies(Unknown, Unknown, Unknown),    Note,    "not known"),
            (encryption(&Reported::NotRequested),            Note,    "not requested"),
            (encryption(&Reported::AsRequested("AES256".to_owned())), Ok, "AES256"),
            (encryption(&reported(None)),                Problem, "expected AES256, found none"),
            (storage_class(&reported(Some("STANDARD"))), Warning, "expected AES256, found STANDARD"),
            (archive(Archive::Unknown),              Note,    "not known"),
            (archive(Archive::Archives),             Ok,    "archives"),
            (archive(Archive::InNameOnly),           Warning, "in name only"),
            (etag(Some(true)),                       Ok,    "returned"),
            (etag(Some(false)),                      Warning, "not returned"),
            (parts(None),                            Note,    "10,000 assumed"),
            (parts(Some(1000)),                      Warning, "at most 1000"),
            (listing(ListingOrder::Bytes),           Ok,    "by bytes"),
            (listing(ListingOrder::Other),           Note,    "another order than S3"),
            (versioning(Some(Versioning::Enabled)),  Ok,    "kept"),
            (versioning(Some(Versioning::Off)),      Warning, "not kept"),
            (versioning(None),                       Note,    "not known"),
        ];
        for (finding, severity, found) in cases {
            assert_eq!(
                (finding.severity, finding.found.as_str()),
                (severity, found),
                "{finding:?}"
            );
            assert_eq!(finding.fix.is_some(), severity >= Warning, "{finding:?}");
        }
    }

    #[test]
    fn every_capability_is_reported_once() {
        let all = findings(&Capabilities::default());
        let mut subjects: Vec<_> = all.iter().map(|finding| finding.subject).collect();
        let count = subjects.len();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!((subjects.len(), count), (12, 12));
    }
}
