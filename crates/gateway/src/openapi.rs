//! `GET /openapi.json`: the description of the API, generated from the handlers and from the types of
//! their bodies.
//!
//! A test compares it with the routes, and another one asks a gateway for what it describes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use s3up_core::wire::{BatchFile, PROBLEM_TYPE, Problem};
use s3up_core::{Code, KEY_BYTES_MAX, Sha256Digest};
use serde_json::Value;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, KnownFormat, Ref, RefOr, SchemaFormat};
use utoipa::{IntoResponses, Modify, OpenApi, PartialSchema, ToSchema};

use crate::handlers;

/// Names of the security schemes.
const CLIENT_KEY: &str = "client_key";
const ADMIN_KEY: &str = "admin_key";
/// The shortest name of a client and its slash are part of every key.
const PATH_CHARS_MAX: usize = KEY_BYTES_MAX - 2;
/// The rules of [`s3up_core::RemotePath`] for a segment, as a regular expression: it is not empty, `.` or
/// `..`, and has no control character and no backslash.
const SEGMENT: &str = r"(?:[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*|\.[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*|\.\.[^/\\\x00-\x1f\x7f-\x9f]+)";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = serde_json::to_value(Api::openapi());
    let mut document = document.expect("the description has only texts as keys");
    for path in children(&mut document, "paths") {
        for operation in path.as_object_mut().into_iter().flat_map(|path| path.values_mut()) {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            let schemas = parameters.into_iter().flatten().filter_map(|it| it.get_mut("schema"));
            schemas.for_each(without_null);
        }
    }
    // An empty file has no body.
    document["paths"]["/files/{path}"]["put"]["requestBody"]["required"] = Value::Bool(false);
    document.to_string()
});

fn children<'v>(value: &'v mut Value, key: &str) -> impl Iterator<Item = &'v mut Value> {
    let object = value.get_mut(key).and_then(Value::as_object_mut);
    object.into_iter().flat_map(|object| object.values_mut())
}

/// Removes `null` from the schema of a header or a parameter, which can be absent and not null.
fn without_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
    }
    let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    if let [only] = choices.as_mut_slice() {
        *schema = only.take();
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "s3up-server",
        description = "Stores files of clients in S3. No call deletes anything."
    ),
    paths(
        handlers::put_file::put_file,
        handlers::patch_file::patch_file,
        handlers::post_form::post_form,
        handlers::post_batch::post_batch,
        handlers::exists_one::exists_one,
        handlers::exists_many::exists_many,
        handlers::proof::proof,
        handlers::list::list,
        handlers::versions::versions,
        handlers::clients::clients,
        handlers::clients::client,
        handlers::clients::reports,
        handlers::freeze::freeze,
        handlers::freeze::release,
        handlers::metrics::metrics,
        handlers::download::download,
        handlers::fleet::heartbeat,
        handlers::fleet::report,
        handlers::backup_report::backup_report,
        handlers::ready::ready,
        handlers::health::health,
        openapi
    ),
    components(schemas(Problem, BatchFile)),
    modifiers(&Security)
)]
struct Api;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer =
            bearer.description(Some("The key of a client, as `s3up-server keygen` makes it."));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(CLIENT_KEY, SecurityScheme::Http(bearer.build()));
        let admin = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let admin = admin.description(Some("A key of `admin_keys` in server.yaml."));
        components.add_security_scheme(ADMIN_KEY, SecurityScheme::Http(admin.build()));
    }
}

/// Describes the API (OpenAPI 3.1)
#[utoipa::path(
    get, path = "/openapi.json",
    responses((status = 200, description = "This document", body = serde_json::Value))
)]
pub(crate) async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], DOCUMENT.as_str()).into_response()
}

/// Returns the paths that the document describes.
#[cfg(test)]
pub(crate) fn paths() -> Vec<String> {
    Api::openapi().paths.paths.into_keys().collect()
}

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

    #[test]
    fn every_reference_of_the_document_is_defined() {
        let document: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap();
        let references: Vec<_> = DOCUMENT
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(references.len() > 10, "{references:?}");
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn no_parameter_may_be_null() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        let put = &document["paths"]["/files/{path}"]["put"]["parameters"];
        let parameters = put.as_array().unwrap();
        assert!(parameters.len() >= 5, "{parameters:?}");
        assert!(!put.to_string().contains("null"), "{put}");
        let hot = parameters.iter().find(|it| it["name"] == "X-Hot").unwrap();
        assert_eq!((&hot["in"], &hot["required"]), (&"header".into(), &false.into()));
        let body = &document["paths"]["/files/{path}"]["put"]["requestBody"];
        assert_eq!(body["required"], false);
        assert!(body["content"]["application/octet-stream"].is_object(), "{body}");
    }

    proptest! {
        #[test]
        fn the_pattern_of_a_path_accepts_what_the_gateway_accepts(text in "[a./\\\\ \n\u{85}\u{e9}-]{0,10}") {
            let pattern = regex::Regex::new(&format!("^{SEGMENT}(?:/{SEGMENT})*$")).unwrap();
            prop_assert_eq!(pattern.is_match(&text), RemotePath::parse(&text).is_ok(), "{:?}", text);
        }
    }
}
