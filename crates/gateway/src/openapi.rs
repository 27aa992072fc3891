//! The parts of the description of the API that handlers share: texts with their patterns, bodies, and the
//! refusals of each kind of call. [`crate::api_document`] makes the document.

use std::collections::BTreeMap;

use s3up_core::wire::{PROBLEM_TYPE, PROOF_FILES_MAX};
use s3up_core::{Code, KEY_BYTES_MAX, Sha256Digest};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, KnownFormat, Ref, RefOr, SchemaFormat};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

/// The shortest name of a client and its slash are part of every key.
const PATH_CHARS_MAX: usize = KEY_BYTES_MAX - 2;
/// The rules of [`s3up_core::RemotePath`] for a segment, as a regular expression: it is not empty, `.` or
/// `..`, and has no control character and no backslash.
const SEGMENT: &str = r"(?:[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*|\.[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*|\.\.[^/\\\x00-\x1f\x7f-\x9f]+)";

/// Returns the schema of a text.
fn text(pattern: &str, chars_min: usize, chars_max: usize, description: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    let text = text.min_length(Some(chars_min)).max_length(Some(chars_max));
    text.description(Some(description)).into()
}

macro_rules! text_schema {
    ($name:ident, $($schema:tt)+) => {
        /// A text in the description of the API.
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($($schema)+)
            }
        }

        impl ToSchema for $name {}
    };
}

text_schema!(
    PathText,
    &format!("^{SEGMENT}(?:/{SEGMENT})*$"),
    1,
    PATH_CHARS_MAX,
    "A remote path; the whole key has at most 1,024 bytes"
);
text_schema!(
    DirText,
    &format!("^(?:{SEGMENT}(?:/{SEGMENT})*/?)?$"),
    0,
    PATH_CHARS_MAX,
    "A remote path that is a directory, with or without a slash at its end"
);
text_schema!(CursorText, "^[A-Za-z0-9_-]+$", 1, 5600, "A cursor that the gateway returned");
text_schema!(
    ReasonText,
    r"^[^\x00-\x1f\x7f-\x9f]*$",
    0,
    crate::freeze::REASON_CHARS_MAX,
    "One line of text"
);
text_schema!(ModeText, "^[0-7]{1,4}$", 1, 4, "Permission bits in octal");

/// A digest in the description of the API. The last of its characters has four bits.
pub(crate) struct ReprDigestText;

impl PartialSchema for ReprDigestText {
    fn schema() -> RefOr<Schema> {
        let pattern = "^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$";
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let of_nothing = Sha256Digest::of(b"").to_repr_digest();
        text.description(Some("SHA-256 in base64"))
            .examples([serde_json::Value::from(of_nothing)])
            .into()
    }
}

impl ToSchema for ReprDigestText {}

/// The bytes of a file.
pub(crate) struct FileBytes;

impl PartialSchema for FileBytes {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).into()
    }
}

impl ToSchema for FileBytes {}

/// The body of `POST /batch`.
pub(crate) struct BatchBody;

impl PartialSchema for BatchBody {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let body = ObjectBuilder::new().schema_type(Type::String).format(Some(binary));
        let what = "Frames: for each file the length of its header (four bytes, big endian), its header \
                    (`BatchFile` in JSON) and its bytes";
        body.description(Some(what)).into()
    }
}

impl ToSchema for BatchBody {}

/// The body of `POST /proof`.
pub(crate) struct ProofBody;

impl PartialSchema for ProofBody {
    fn schema() -> RefOr<Schema> {
        let paths = ArrayBuilder::new().items(PathText::schema()).max_items(Some(PROOF_FILES_MAX));
        ObjectBuilder::new().property("paths", paths).required("paths").into()
    }
}

impl ToSchema for ProofBody {}

/// The form of `POST /upload`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct UploadForm {
    #[schema(inline)]
    path: PathText,
    #[schema(inline)]
    file: FileBytes,
    #[schema(nullable = false)]
    sha256: Option<Sha256Digest>,
    #[schema(nullable = false)]
    mtime_ns: Option<i64>,
    #[schema(inline, nullable = false)]
    mode: Option<ModeText>,
    /// The file had not settled: `overwrite: never` lets its next version replace it
    #[schema(nullable = false)]
    hot: Option<bool>,
}

/// The answer to `GET /exists`. Without such a file it has only `exists`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ExistsAnswer {
    exists: bool,
    #[schema(nullable = false)]
    size: Option<u64>,
    /// Null if neither S3 nor the database knows it
    sha256: Option<Sha256Digest>,
    /// In nanoseconds since 1970
    mtime_ns: Option<i64>,
    /// RFC 3339, UTC
    #[schema(nullable = false)]
    uploaded_at: Option<String>,
    /// Null if the bucket keeps no versions
    version_id: Option<String>,
}

/// Returns a response for each status of `codes`.
fn refusals(codes: &[Code]) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let mut descriptions: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in codes {
        let name = serde_json::to_value(code).ok();
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        let text = format!("`{name}`: {}", code.title());
        descriptions.entry(code.status()).or_default().push(text);
    }
    let response = |texts: Vec<String>| {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        ResponseBuilder::new().description(texts.join("; ")).content(PROBLEM_TYPE, problem).build()
    };
    descriptions
        .into_iter()
        .map(|(status, texts)| (status.to_string(), RefOr::T(response(texts))))
        .collect()
}

macro_rules! refusals_of {
    ($(#[$doc:meta])* $name:ident: $($code:ident)+) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                refusals(&[$(Code::$code),+])
            }
        }
    };
}

refusals_of!(
    /// The refusals of calls that store a file.
    UploadRefusals:
    BadRequest BadPath Incomplete Unauthorized Forbidden TooSlow Exists Superseded LengthRequired TooLarge
    UnsupportedEncoding DigestMismatch RateLimited Internal NotImplemented StoreRefused StoreUnavailable
    Overloaded Quota Frozen
);
refusals_of!(
    /// The refusals of a whole batch.
    BatchRefusals:
    BadRequest Incomplete Unauthorized Forbidden TooSlow LengthRequired UnsupportedEncoding RateLimited
    Internal NotImplemented
);
refusals_of!(
    /// The refusals of calls that ask S3 about files.
    FileRefusals:
    BadRequest BadPath Unauthorized Forbidden NotFound RateLimited Internal StoreRefused StoreUnavailable
);
refusals_of!(
    /// The refusals of a download.
    DownloadRefusals:
    BadRequest BadPath Unauthorized Forbidden NotFound Archived RangeNotSatisfiable RateLimited Internal
    StoreRefused
    StoreUnavailable Overloaded TooLarge
);
refusals_of!(
    /// The refusals of calls for an admin key.
    AdminRefusals:
    BadRequest Unauthorized Forbidden NotFound Internal DatabaseUnavailable
);

refusals_of!(
    /// The refusals of calls with a body in JSON.
    JsonRefusals:
    BadRequest Incomplete Unauthorized Forbidden TooSlow TooLarge RateLimited Internal StoreRefused
    StoreUnavailable DatabaseUnavailable Overloaded
);
refusals_of!(
    /// The refusals of a call with paths in JSON.
    ProofRefusals:
    BadRequest BadPath Incomplete Unauthorized Forbidden TooSlow TooLarge RateLimited Internal
    StoreRefused StoreUnavailable Overloaded
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use s3up_core::RemotePath;

    use super::*;

    proptest! {
        #[test]
        fn the_pattern_of_a_path_accepts_what_the_gateway_accepts(text in "[a./\\\\ \n\u{85}\u{e9}-]{0,10}") {
            let pattern = regex::Regex::new(&format!("^{SEGMENT}(?:/{SEGMENT})*$")).unwrap();
            prop_assert_eq!(pattern.is_match(&text), RemotePath::parse(&text).is_ok(), "{:?}", text);
        }
    }
}
