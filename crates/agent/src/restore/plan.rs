//! Decides what a restore does with one file. Pure.
//!
//! A file is whole if it has the content of the gateway. That is known by its SHA-256; only where the
//! gateway knows none do size and modification time count. Other content is replaced only on request,
//! and only a regular file is replaced: anything else at its place was not put there by a restore.
//! The same holds for the mode and the time of a whole file.

use std::fmt;

use s3up_core::Sha256Digest;

use crate::remote_files::remote_file::RemoteFile;

/// Says whether files with other content are replaced, and other metadata as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    Keep,
    Replace,
}

/// The entry at the target that has the name of a remote file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalEntry {
    Nothing,
    File {
        size: u64,
        mtime_ns: i64,
        mode: u32,
        content: LocalContent,
    },
    Other(OtherKind),
    /// It could not be examined. The text says why.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalContent {
    Hashed(Sha256Digest),
    /// The size differs, or the gateway knows no SHA-256 to compare with.
    NotHashed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    Directory,
    Symlink,
    Special,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Create,
    Replace,
    /// The file is whole.
    Skip(WholeReason, MetadataStep),
    /// The file cannot be restored here.
    Refuse(Conflict),
}

/// The reason for which a file counts as whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeReason {
    SameContent,
    /// The gateway does not know the SHA-256.
    SameSizeAndTime,
}

/// Says what happens to mode and time of a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataStep {
    /// They do not differ, as far as the gateway tells them.
    Same,
    /// They differ and stay.
    Keep,
    Set,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    OtherContent,
    NotAFile(OtherKind),
    Unknown(String),
}

pub fn decide(remote: &RemoteFile, local: &LocalEntry, overwrite: Overwrite) -> Step {
    let (size, mtime_ns, mode, content) = match local {
        LocalEntry::Nothing => return Step::Create,
        LocalEntry::Other(kind) => return Step::Refuse(Conflict::NotAFile(*kind)),
        LocalEntry::Unknown(why) => return Step::Refuse(Conflict::Unknown(why.clone())),
        LocalEntry::File { size, mtime_ns, mode, content } => (*size, *mtime_ns, *mode, *content),
    };
    let has_same_size = size == remote.size;
    let whole = match (remote.sha256, content) {
        (Some(expected), LocalContent::Hashed(found)) if has_same_size && expected == found => {
            Some(WholeReason::SameContent)
        }
        (None, _) if has_same_size && remote.mtime_ns == Some(mtime_ns) => {
            Some(WholeReason::SameSizeAndTime)
        }
        (Some(_) | None, LocalContent::Hashed(_) | LocalContent::NotHashed) => None,
    };
    match (whole, overwrite) {
        (Some(whole), _) => {
            let differs = remote.metadata().differs(mode, mtime_ns);
            Step::Skip(whole, metadata_step(differs, overwrite))
        }
        (None, Overwrite::Replace) => Step::Replace,
        (None, Overwrite::Keep) => Step::Refuse(Conflict::OtherContent),
    }
}

fn metadata_step(differs: bool, overwrite: Overwrite) -> MetadataStep {
    match (differs, overwrite) {
        (false, _) => MetadataStep::Same,
        (true, Overwrite::Keep) => MetadataStep::Keep,
        (true, Overwrite::Replace) => MetadataStep::Set,
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::OtherContent => {
                f.write_str("a file with other content exists; pass --overwrite to replace it")
            }
            Conflict::NotAFile(kind) => {
                let kind = match kind {
                    OtherKind::Directory => "a directory",
                    OtherKind::Symlink => "a symlink",
                    OtherKind::Special => "a special file",
                };
                write!(f, "expected a file or nothing at its place, found {kind}; move it away")
            }
            Conflict::Unknown(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use s3up_core::RemotePath;

    use super::Overwrite::{Keep, Replace};
    use super::*;

    #[test]
    fn only_a_file_with_the_content_of_the_gateway_is_skipped() {
        let right = LocalContent::Hashed(Sha256Digest::of(b"content"));
        let wrong = LocalContent::Hashed(Sha256Digest::of(b"CONTENT"));
        let none = LocalContent::NotHashed;
        let file = |size, mtime_ns, content| file(size, mtime_ns, 0o600, content);
        let same = |metadata| Step::Skip(WholeReason::SameContent, metadata);
        let whole = same(MetadataStep::Same);
        let same_time = Step::Skip(WholeReason::SameSizeAndTime, MetadataStep::Same);
        let mode = LocalEntry::File { size: 7, mtime_ns: 5, mode: 0o644, content: right };
        let other = Step::Refuse(Conflict::OtherContent);
        #[rustfmt::skip]
        let cases = [
            // situation                        known  local                  kept              replaced
            ("nothing there",                   true,  LocalEntry::Nothing,   Step::Create,     Step::Create),
            ("the same content",                true,  file(7, 5, right),     whole.clone(),    whole),
            ("the same content, touched",       true,  file(7, 6, right),     same(MetadataStep::Keep), same(MetadataStep::Set)),
            ("the same content, another mode",  true,  mode,                  same(MetadataStep::Keep), same(MetadataStep::Set)),
            ("other content, the same time",    true,  file(7, 5, wrong),     other.clone(),    Step::Replace),
            ("another size",                    true,  file(8, 5, none),      other.clone(),    Step::Replace),
            ("not hashed, the same time",       true,  file(7, 5, none),      other.clone(),    Step::Replace),
            ("no digest, the same time",        false, file(7, 5, none),      same_time.clone(), same_time),
            ("no digest, another time",         false, file(7, 6, none),      other.clone(),    Step::Replace),
            ("no digest, another size",         false, file(8, 5, none),      other,            Step::Replace),
        ];
        for (situation, known, local, kept, replaced) in cases {
            let remote = remote(known);
            assert_eq!(decide(&remote, &local, Keep), kept, "{situation}");
            assert_eq!(decide(&remote, &local, Replace), replaced, "{situation}");
        }
    }

    #[test]
    fn an_entry_that_is_no_file_is_never_replaced() {
        for kind in [OtherKind::Directory, OtherKind::Symlink, OtherKind::Special] {
            let step = decide(&remote(true), &LocalEntry::Other(kind), Replace);
            assert_eq!(step, Step::Refuse(Conflict::NotAFile(kind)));
        }
        let unknown = LocalEntry::Unknown("cannot read it".to_owned());
        let step = decide(&remote(true), &unknown, Replace);
        assert_eq!(step, Step::Refuse(Conflict::Unknown("cannot read it".to_owned())));
    }

    #[test]
    fn without_a_digest_and_a_time_a_file_is_never_taken_for_whole() {
        let remote = RemoteFile { mtime_ns: None, ..remote(false) };
        let local = file(7, 0, 0o600, LocalContent::NotHashed);
        assert_eq!(decide(&remote, &local, Keep), Step::Refuse(Conflict::OtherContent));
    }

    fn file(size: u64, mtime_ns: i64, mode: u32, content: LocalContent) -> LocalEntry {
        LocalEntry::File { size, mtime_ns, mode, content }
    }

    fn remote(digest_is_known: bool) -> RemoteFile {
        RemoteFile {
            path: RemotePath::parse("a").unwrap(),
            size: 7,
            uploaded_at: jiff::Timestamp::UNIX_EPOCH,
            sha256: digest_is_known.then(|| Sha256Digest::of(b"content")),
            mtime_ns: Some(5),
            mode: Some("0600".to_owned()),
            storage_class: None,
            version_id: None,
        }
    }
}
