//! Decides what an upload does with the file that is stored under its path. A pure function.
//!
//! `overwrite: never` keeps every file but one that its client has marked as hot: it was still being
//! written, so the version that follows is the file.

use s3up_core::Code;
use s3up_store::{ObjectFacts, Overwrite as Condition};

use super::metadata::{FileMetadata, is_stored_hot};
use crate::clients::OverwritePolicy;
use crate::refusal::{EXISTS, Refusal};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The same content is stored; nothing is written.
    Unchanged,
    /// The condition under which S3 makes the upload visible.
    Write(Condition),
}

/// `has_same_content`: the announced SHA-256 is that of the stored file.
pub(super) fn decide(
    found: Option<&ObjectFacts>,
    has_same_content: bool,
    overwrite: OverwritePolicy,
    announced: &FileMetadata,
) -> Result<Decision, Refusal> {
    let Some(found) = found else {
        return Ok(Decision::Write(match overwrite {
            OverwritePolicy::Versioned => Condition::Allowed,
            OverwritePolicy::Never => Condition::Never,
        }));
    };
    let is_hot = is_stored_hot(&found.metadata);
    match overwrite {
        OverwritePolicy::Versioned if has_same_content => Ok(Decision::Unchanged),
        OverwritePolicy::Versioned => Ok(Decision::Write(Condition::Allowed)),
        // The mark can be removed only with the object.
        OverwritePolicy::Never if is_hot && !(has_same_content && announced.is_hot) => {
            Ok(Decision::Write(Condition::Only { etag: found.etag.clone() }))
        }
        OverwritePolicy::Never if has_same_content => Ok(Decision::Unchanged),
        // The content may be the same: that is known at the end, when S3 refuses to replace it.
        OverwritePolicy::Never if announced.sha256.is_none() => {
            Ok(Decision::Write(Condition::Never))
        }
        OverwritePolicy::Never => Err(Refusal::new(Code::Exists, EXISTS)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use s3up_core::Sha256Digest;

    use super::Condition::{Allowed, Never, Only};
    use super::Decision::{Unchanged, Write};
    use super::*;

    #[test]
    fn a_stored_file_is_kept_unless_it_may_be_replaced() {
        let only = || Write(Only { etag: "\"e\"".to_owned() });
        let versioned = OverwritePolicy::Versioned;
        let never = OverwritePolicy::Never;
        #[rustfmt::skip]
        let cases = [
            // stored   same    overwrite  announced hot  decision
            (None,        false, versioned, false, Ok(Write(Allowed))),
            (None,        false, never,     false, Ok(Write(Never))),
            (None,        false, never,     true,  Ok(Write(Never))),
            (Some(false), true,  versioned, false, Ok(Unchanged)),
            (Some(true),  true,  versioned, false, Ok(Unchanged)),
            (Some(false), false, versioned, false, Ok(Write(Allowed))),
            (Some(false), true,  never,     false, Ok(Unchanged)),
            (Some(false), true,  never,     true,  Ok(Unchanged)),
            (Some(false), false, never,     false, Err(Code::Exists)),
            (Some(false), false, never,     true,  Err(Code::Exists)),
            (Some(true),  false, never,     false, Ok(only())),
            (Some(true),  false, never,     true,  Ok(only())),
            (Some(true),  true,  never,     false, Ok(only())),
            (Some(true),  true,  never,     true,  Ok(Unchanged)),
        ];
        for (stored, same, overwrite, is_hot, want) in cases {
            let found = stored.map(facts);
            let sha256 = Some(Sha256Digest::of(b""));
            let announced = FileMetadata { is_hot, sha256, ..FileMetadata::default() };
            let got = decide(found.as_ref(), same, overwrite, &announced);
            let got = got.map_err(|refusal| refusal.code);
            assert_eq!(got, want, "stored hot: {stored:?}, same: {same}, {overwrite}, {is_hot}");
        }
    }

    #[test]
    fn without_a_digest_s3_decides_at_the_end() {
        let decide = |found: &ObjectFacts| {
            decide(Some(found), false, OverwritePolicy::Never, &FileMetadata::default()).unwrap()
        };
        assert_eq!(decide(&facts(false)), Write(Never));
        assert_eq!(decide(&facts(true)), Write(Only { etag: "\"e\"".to_owned() }));
    }

    fn facts(is_hot: bool) -> ObjectFacts {
        let metadata = FileMetadata { is_hot, ..FileMetadata::default() }.user_metadata();
        ObjectFacts {
            size: 1,
            etag: "\"e\"".to_owned(),
            version_id: None,
            content_type: None,
            modified_at: SystemTime::UNIX_EPOCH,
            metadata,
            sha256: None,
            crc64nvme: None,
            storage_class: None,
            sse: None,
        }
    }
}
