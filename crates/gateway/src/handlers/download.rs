//! `GET|HEAD /download?path=`: returns a file, or a range of it.
//!
//! The first bytes are fetched before the response begins, so that a failure of
//! S3 becomes a status instead of a truncated body. A file of one part is fully
//! verified by then, and a short one costs one call. Every response is an attachment, because stored HTML must
//! not run on the gateway's origin.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::wire::{MODE_HEADER, MTIME_NS_HEADER, REPR_DIGEST_HEADER};
use s3up_core::{ClientName, Code, Count, Key, RemotePath, error_chain};
use s3up_store::{Download, Get, ObjectFacts, Share, StoreError, StoreErrorKind};

use crate::buffer_wait::BUFFER_WAIT;
use crate::clients::Right;
use crate::database::record::Record;
use crate::gateway::Gateway;
use crate::openapi::{DownloadRefusals, FileBytes, PathText};
use crate::refusal::Refusal;
use crate::request::query;
use crate::request::range::{self, RequestedRange};
use crate::uploads::RETRY_FOR;
use crate::uploads::metadata::{stored_mode, stored_mtime_ns};

/// Number of ranges that are fetched at the same time, ahead of the client.
const RANGES_IN_FLIGHT: usize = 2;

/// Returns a file, or a range of it
#[utoipa::path(
    method(get, head), path = "/download",
    params(
        ("path" = inline(PathText), Query),
        ("version_id" = Option<String>, Query, description = "Without it, the newest version is returned"),
        ("Range" = Option<String>, Header, description = "`bytes=FIRST-LAST`"),
    ),
    responses(
        (status = 200, description = "The file", body = inline(FileBytes), content_type = "*/*"),
        (status = 206, description = "The range", body = inline(FileBytes), content_type = "*/*"),
        DownloadRefusals,
    ),
    security(("client_key" = []))
)]
pub(crate) async fn download(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::Download)?;
    let _slot = client.request_slot().await?;
    let file = StoredVersion {
        client: client.policy.name.clone(),
        path: query::path_parameter(request.uri().query())?,
        version_id: query::parameter(request.uri().query(), "version_id")?,
        share: client.buffer_share(),
        is_activity: true,
    };
    send(&gateway, request.method(), request.headers(), file).await
}

/// A version of a file that is sent to a client, or to the operator.
pub(crate) struct StoredVersion {
    pub client: ClientName,
    pub path: RemotePath,
    /// `None`: the newest one.
    pub version_id: Option<String>,
    /// The part of the buffer budget that it may hold.
    pub share: Share,
    /// True if it counts as activity of the client.
    pub is_activity: bool,
}

/// Sends a file, or the range that the request asks for.
pub(crate) async fn send(
    gateway: &Gateway,
    method: &Method,
    requested: &HeaderMap,
    file: StoredVersion,
) -> Result<Response, Refusal> {
    let StoredVersion { client: name, path, version_id, share, is_activity } = file;
    let key = Key::of_file(gateway.prefix(), &name, &path)?;
    if *method == Method::GET
        && !requested.contains_key(header::RANGE)
        && let Some(short) =
            gateway.answering_store()?.short_object(&key, version_id.as_deref()).await
    {
        if is_activity {
            record_activity(gateway, &name, short.facts.size);
        }
        let headers = headers(&path, &short.facts, StatusCode::OK, &(0..short.facts.size));
        return Ok((StatusCode::OK, headers, short.bytes).into_response());
    }
    let mut facts = facts(gateway, &key, &path, version_id.as_deref()).await?;
    if facts.sha256.is_none() {
        // S3 does not have it. With that of the catalogue the whole file is verified all the same.
        let entry =
            gateway.database().entries(&name, std::slice::from_ref(&path)).await.remove(&path);
        facts.sha256 = entry.filter(|entry| entry.describes(&facts)).and_then(|entry| entry.sha256);
    }
    let requested = requested.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, range) = match range::parse(requested, facts.size) {
        RequestedRange::WholeFile => (StatusCode::OK, 0..facts.size),
        RequestedRange::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        RequestedRange::NotSatisfiable => return Ok(not_satisfiable(facts.size)),
    };
    let headers = headers(&path, &facts, status, &range);
    if *method == Method::HEAD {
        return Ok((status, headers).into_response());
    }
    if is_activity {
        record_activity(gateway, &name, range.end - range.start);
    }
    let get = Get {
        key,
        facts,
        range,
        part_bytes: gateway.part_bytes(),
        part_sha256: None,
        in_flight: RANGES_IN_FLIGHT,
        retry_for: RETRY_FOR,
        buffer_wait: Some(BUFFER_WAIT),
        share: Some(share),
    };
    let body = body(gateway.store().download(get), name, path).await.map_err(refusal)?;
    Ok((status, headers, body).into_response())
}

fn record_activity(gateway: &Gateway, client: &ClientName, bytes: u64) {
    let at = gateway.database().now();
    gateway.database().record(Record::Download { client: client.clone(), bytes, at });
}

/// Returns the facts of a file, or of one version of it.
///
/// S3 refuses a version id that it cannot parse without a reason, because the
/// answer to a HEAD has no body. If the same request without the version id is
/// answered, then no version has this id.
async fn facts(
    gateway: &Gateway,
    key: &Key,
    path: &RemotePath,
    version_id: Option<&str>,
) -> Result<ObjectFacts, Refusal> {
    let store = gateway.answering_store()?;
    match (store.head(key, version_id, RETRY_FOR).await, version_id) {
        (Err(err), Some(_)) if err.kind == StoreErrorKind::Permanent => {
            store.head(key, None, RETRY_FOR).await?;
            let what = format!("{path}: no such version");
            Err(Refusal::new(Code::NotFound, what).caused_by(&err))
        }
        (found, _) => {
            let what = if version_id.is_some() { "version" } else { "file" };
            let missing = || Refusal::new(Code::NotFound, format!("{path}: no such {what}"));
            found?.ok_or_else(missing)
        }
    }
}

/// A stored file that does not match its checksum is damaged for good, unless the
/// network did it.
fn refusal(err: StoreError) -> Refusal {
    if err.kind != StoreErrorKind::Corrupt {
        return err.into();
    }
    let what = "the stored file does not match its checksum; download it again, and if that fails too, \
                download another version";
    Refusal::new(Code::StoreRefused, what).caused_by(&err)
}

/// Returns the bytes. `client` and `path` name the download in the log.
async fn body(
    mut download: Download,
    client: ClientName,
    path: RemotePath,
) -> Result<Body, StoreError> {
    let Some(first) = download.next().await? else { return Ok(Body::empty()) };
    let rest = download.into_stream().inspect(move |piece| {
        if let Err(err) = piece {
            tracing::warn!(
                event = "download_failed",
                %client,
                %path,
                error = error_chain(err),
                "the download ended before all bytes were sent"
            );
        }
    });
    let first = stream::once(async { Ok::<Bytes, StoreError>(first) });
    Ok(Body::from_stream(first.chain(rest)))
}

fn not_satisfiable(size: u64) -> Response {
    let refusal = Refusal::new(
        Code::RangeNotSatisfiable,
        format!(
            "expected a range within the {} of the file; ask for one that begins before its end",
            Count(size, "byte")
        ),
    );
    let mut response = refusal.into_response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn headers(
    path: &RemotePath,
    facts: &ObjectFacts,
    status: StatusCode,
    range: &Range<u64>,
) -> HeaderMap {
    let content_type = facts.content_type.as_deref().unwrap_or("application/octet-stream");
    let name = utf8_percent_encode(path.file_name(), NON_ALPHANUMERIC);
    let mut fields = vec![
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_LENGTH, (range.end - range.start).to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, facts.etag.clone()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{}", range.start, range.end - 1, facts.size);
        fields.push((header::CONTENT_RANGE, range));
    }
    if let Some(sha256) = facts.sha256 {
        fields.push((HeaderName::from_static(REPR_DIGEST_HEADER), sha256.to_repr_digest()));
    }
    if let Some(ns) = stored_mtime_ns(&facts.metadata) {
        fields.push((HeaderName::from_static(MTIME_NS_HEADER), ns.to_string()));
    }
    if let Some(mode) = stored_mode(&facts.metadata) {
        fields.push((HeaderName::from_static(MODE_HEADER), format!("{mode:04o}")));
    }
    // A value from S3 may contain bytes that a header cannot; such a field is left
    // out.
    let valid = |(name, value)| Some((name, HeaderValue::try_from(value).ok()?));
    fields.into_iter().filter_map(valid).collect()
}
