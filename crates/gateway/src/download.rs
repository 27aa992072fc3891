//! `GET|HEAD /download?path=`: a file, or a range of it.
//!
//! The first bytes are fetched before the answer begins, so that a store that
//! fails is a status and not a broken body; a small file is verified whole by
//! then. Stored HTML must not run on the gateway's origin, so everything is an
//! attachment.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::wire::REPR_DIGEST_HEADER;
use s3up_core::{Code, RemotePath};
use s3up_store::{Download, Get, ObjectFacts, StoreError};

use crate::client::Right;
use crate::gateway::Gateway;
use crate::query;
use crate::range::{self, Wanted};
use crate::refusal::Refusal;
use crate::upload::{BUFFER_WAIT, RETRY_FOR};

/// Ranges fetched ahead of the reader.
const IN_FLIGHT: usize = 2;

pub(crate) async fn download(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let caller = gateway.caller(request.headers())?;
    if !caller.client.rights.contains(&Right::Download) {
        return Err(Refusal::new(Code::Forbidden, "this key may not download"));
    }
    let path = query::path_parameter(request.uri().query())?;
    let version_id = query::parameter(request.uri().query(), "version_id")?;
    let key = gateway.key(&caller.client, &path)?;
    let missing = || Refusal::new(Code::NotFound, format!("{path}: no such file"));
    let facts = gateway.store().head(&key, version_id.as_deref(), RETRY_FOR).await?;
    let facts = facts.ok_or_else(missing)?;
    let asked = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, range) = match range::parse(asked, facts.size) {
        Wanted::Whole => (StatusCode::OK, 0..facts.size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => return Ok(outside(facts.size)),
    };
    let headers = headers(&path, &facts, status, &range);
    if *request.method() == Method::HEAD {
        return Ok((status, headers).into_response());
    }
    let get = Get {
        key,
        facts,
        range,
        part_bytes: gateway.part_bytes().0,
        part_sha256: None,
        in_flight: IN_FLIGHT,
        retry_for: RETRY_FOR,
        buffer_wait: Some(BUFFER_WAIT),
        share: Some(caller.share.clone()),
    };
    let body = body(gateway.store().download(get)).await?;
    Ok((status, headers, body).into_response())
}

async fn body(mut download: Download) -> Result<Body, StoreError> {
    let Some(first) = download.next().await? else { return Ok(Body::empty()) };
    let rest = download.into_stream().inspect(|piece| {
        if let Err(err) = piece {
            tracing::warn!(event = "download_broke_off", "{err}");
        }
    });
    let first = stream::once(async { Ok::<Bytes, StoreError>(first) });
    Ok(Body::from_stream(first.chain(rest)))
}

fn outside(size: u64) -> Response {
    let refusal = Refusal::new(Code::RangeNotSatisfiable, format!("the file has {size} bytes"));
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
    // What S3 echoes may hold bytes that no header can; such a field is left out.
    let valid = |(name, value)| Some((name, HeaderValue::try_from(value).ok()?));
    fields.into_iter().filter_map(valid).collect()
}
