//! `GET /openapi.json`: the description of the API, generated from the handlers and from the types of
//! their bodies.
//!
//! A test compares it with the routes, and another one asks a gateway for what it describes.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use s3up_core::wire::{BatchFile, Problem, TEXT_BYTES_MAX};
use serde_json::{Map, Value};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::handlers;

/// A text without the character NUL, which PostgreSQL does not store.
const NO_NUL: &str = r"^[^\x00]*$";
/// The bodies that the gateway stores.
const STORED_BODIES: [&str; 3] = ["Heartbeat", "Report", "BackupReport"];
/// Names of the security schemes.
const CLIENT_KEY: &str = "client_key";
const ADMIN_KEY: &str = "admin_key";

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
    limit_integers(&mut document);
    let schemas = &mut document["components"]["schemas"];
    for name in with_parts(schemas, &STORED_BODIES) {
        limit_texts(&mut schemas[name]);
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

/// Adds the limits that the types of integers have.
fn limit_integers(schema: &mut Value) {
    let Value::Object(object) = schema else {
        return schema.as_array_mut().into_iter().flatten().for_each(limit_integers);
    };
    if is_of_type(object, "integer") {
        let (min, max) = match object.get("format").and_then(Value::as_str) {
            Some("int32") => (i64::from(i32::MIN), i32::MAX.unsigned_abs().into()),
            Some("int64") => (i64::MIN, i64::MAX.unsigned_abs()),
            Some("u-int32") => (0, u32::MAX.into()),
            // The name of utoipa, and numbers of elements.
            Some(_) | None => (0, u64::MAX),
        };
        object.entry("minimum").or_insert(min.into());
        object.entry("maximum").or_insert(max.into());
    }
    object.values_mut().for_each(limit_integers);
}

/// Adds the limits that texts have in a body that the gateway stores.
fn limit_texts(schema: &mut Value) {
    let Value::Object(object) = schema else {
        return schema.as_array_mut().into_iter().flatten().for_each(limit_texts);
    };
    let has_rule = ["enum", "const", "pattern"].iter().any(|rule| object.contains_key(*rule));
    if is_of_type(object, "string") && !has_rule {
        object.insert("pattern".to_owned(), NO_NUL.into());
        object.insert("maxLength".to_owned(), TEXT_BYTES_MAX.into());
    }
    object.values_mut().for_each(limit_texts);
}

fn is_of_type(schema: &Map<String, Value>, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|found| found == name),
        Some(found) => found == name,
        None => false,
    }
}

/// Returns the names of the schemas that `names` consist of.
fn with_parts(schemas: &Value, names: &[&str]) -> BTreeSet<String> {
    let mut open: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        let text = schemas[&name].to_string();
        let parts = text.split("\"#/components/schemas/").skip(1);
        open.extend(parts.filter_map(|part| part.split('"').next()).map(str::to_owned));
        if !found.insert(name) {
            // Its parts are known.
            open.retain(|name| !found.contains(name));
        }
    }
    found
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

#[cfg(test)]
mod tests {
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
    fn a_body_has_the_limits_that_the_gateway_checks() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        let schemas = &document["components"]["schemas"];
        let of = |name: &str, field: &str| schemas[name]["properties"][field].clone();
        let (host, problems) = (of("AgentFacts", "host"), of("Report", "problems"));
        assert_eq!(
            (&host["pattern"], &host["maxLength"]),
            (&NO_NUL.into(), &TEXT_BYTES_MAX.into())
        );
        assert_eq!(problems["maxItems"], 1000);
        let size = of("QueriedFile", "size");
        assert_eq!((&size["minimum"], &size["maximum"]), (&0.into(), &u64::MAX.into()));
        let mtime = of("ListedFile", "mtime_ns");
        assert_eq!((&mtime["minimum"], &mtime["maximum"]), (&i64::MIN.into(), &i64::MAX.into()));
        // Its verdict says whether it is one.
        assert_eq!(of("QueriedFile", "path").get("pattern"), None);
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
}
