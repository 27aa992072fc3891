//! The text fields of an upload form.

use std::fmt;

use multer::Field;
use s3up_core::{Code, PathRule, RemotePath, Sha256Digest};

use crate::refusal::Refusal;
use crate::refusal::body::BodyFailure;
use crate::uploads::metadata::{FileMetadata, parse_hot, parse_mode, parse_mtime_ns};

/// Maximum length of a text field. A path is the longest one.
const FIELD_BYTES_MAX: usize = 4 << 10;

/// A field that the form may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldName {
    Path,
    File,
    Sha256,
    MtimeNs,
    Mode,
    Hot,
}

const NAMES: [(FieldName, &str); 6] = [
    (FieldName::Path, "path"),
    (FieldName::File, "file"),
    (FieldName::Sha256, "sha256"),
    (FieldName::MtimeNs, "mtime_ns"),
    (FieldName::Mode, "mode"),
    (FieldName::Hot, "hot"),
];

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(name, _)| name == self);
        f.write_str(name.map_or("", |(_, text)| text))
    }
}

/// The fields that have arrived.
#[derive(Default)]
pub(super) struct Fields {
    pub path: Option<RemotePath>,
    pub metadata: FileMetadata,
    names: Vec<FieldName>,
}

impl Fields {
    /// Adds the name of the next field. Refuses unknown fields and repeated ones.
    pub(super) fn add(&mut self, text: &str) -> Result<FieldName, Refusal> {
        let Some((name, _)) = NAMES.iter().find(|(_, known)| *known == text) else {
            let known = NAMES.map(|(_, known)| format!("`{known}`")).join(", ");
            let what = format!("unknown form field {text:?}; expected one of {known}");
            return Err(Refusal::new(Code::BadRequest, what));
        };
        if self.names.contains(name) {
            return Err(Refusal::new(
                Code::BadRequest,
                format!("form field `{name}`: expected once, found twice"),
            ));
        }
        self.names.push(*name);
        Ok(*name)
    }

    /// Sets the value of a text field.
    pub(super) fn set(&mut self, name: FieldName, text: &str) -> Result<(), Refusal> {
        let metadata = &mut self.metadata;
        match name {
            FieldName::Path => self.path = Some(RemotePath::parse(text)?),
            FieldName::Sha256 => {
                let digest = Sha256Digest::parse_hex(text).map_err(|err| malformed(name, err))?;
                metadata.sha256 = Some(digest);
            }
            FieldName::MtimeNs => {
                let ns = parse_mtime_ns(text).map_err(|err| malformed(name, err))?;
                metadata.mtime_ns = Some(ns);
            }
            FieldName::Mode => {
                metadata.mode = Some(parse_mode(text).map_err(|err| malformed(name, err))?);
            }
            FieldName::Hot => {
                metadata.is_hot = parse_hot(text).map_err(|err| malformed(name, err))?;
            }
            // Its bytes are received, not set.
            FieldName::File => {}
        }
        Ok(())
    }

    /// Returns true if the user metadata of the object differs from `before`. S3
    /// fixes it when an upload begins; a SHA-256 can still be checked at its end.
    pub(super) fn user_metadata_changed(&self, before: &FileMetadata) -> bool {
        before.user_metadata() != self.metadata.user_metadata()
    }
}

fn malformed(name: FieldName, what: impl fmt::Display) -> Refusal {
    Refusal::new(Code::BadRequest, format!("form field `{name}`: {what}"))
}

/// Reads a text field.
pub(super) async fn text_of(name: FieldName, mut field: Field<'static>) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|err| form_refusal(&err))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > FIELD_BYTES_MAX {
            let what = format!("expected at most {FIELD_BYTES_MAX} bytes, found more");
            return Err(malformed(name, what));
        }
    }
    String::from_utf8(bytes).map_err(|_| match name {
        FieldName::Path => PathRule::NotUtf8.into(),
        FieldName::File
        | FieldName::Sha256
        | FieldName::MtimeNs
        | FieldName::Mode
        | FieldName::Hot => malformed(name, "is not UTF-8"),
    })
}

pub(super) fn form_refusal(err: &multer::Error) -> Refusal {
    Refusal::from_body(&body_error(err).into())
}

/// Returns the error of the request body that multer wraps.
pub(super) fn body_error(err: &multer::Error) -> BodyFailure {
    let multer::Error::StreamReadFailed(inner) = err else {
        return BodyFailure::Form(err.to_string());
    };
    let inner = inner.downcast_ref::<std::io::Error>().and_then(|err| err.get_ref());
    match inner.and_then(|err| err.downcast_ref::<BodyFailure>()) {
        Some(err) => err.clone(),
        None => BodyFailure::Interrupted(err.to_string()),
    }
}
