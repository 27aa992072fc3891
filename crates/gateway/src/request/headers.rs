//! Request headers, parsed strictly: one that is given twice or is malformed is
//! refused by name.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use s3up_core::wire::{MODE_HEADER, MTIME_NS_HEADER, REPR_DIGEST_HEADER};
use s3up_core::{Code, Sha256Digest};

use crate::refusal::Refusal;
use crate::uploads::metadata::{FileMetadata, parse_mode, parse_mtime_ns};

/// Returns the metadata of the file in the body of `PUT /files/{path}`.
pub(crate) fn file_metadata(headers: &HeaderMap) -> Result<FileMetadata, Refusal> {
    let mut metadata = FileMetadata::default();
    if let Some(field) = text(headers, REPR_DIGEST_HEADER)? {
        metadata.sha256 = Sha256Digest::parse_repr_digest(field)
            .map_err(|err| malformed(REPR_DIGEST_HEADER, err))?;
    }
    if let Some(field) = text(headers, MTIME_NS_HEADER)? {
        let ns = parse_mtime_ns(field).map_err(|err| malformed(MTIME_NS_HEADER, err))?;
        metadata.mtime_ns = Some(ns);
    }
    if let Some(field) = text(headers, MODE_HEADER)? {
        metadata.mode = Some(parse_mode(field).map_err(|err| malformed(MODE_HEADER, err))?);
    }
    Ok(metadata)
}

/// Returns the `Content-Type`, if it is plain text.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// Returns the announced length of the body.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(field) = text(headers, header::CONTENT_LENGTH.as_str())? else { return Ok(None) };
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // A proxy in front of the gateway may go by the other one.
        return Err(malformed("content-length", "may not be combined with transfer-encoding"));
    }
    let wrong = |_| malformed("content-length", format!("expected a number, found {field:?}"));
    field.parse().map(Some).map_err(wrong)
}

/// Returns true if the client sends its body only after `100 Continue`.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Returns a header as text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(malformed(name, "is given twice"));
    }
    let readable =
        |value: &'h HeaderValue| value.to_str().map_err(|_| malformed(name, "is not ASCII text"));
    first.map(readable).transpose()
}

fn malformed(name: &str, what: impl fmt::Display) -> Refusal {
    Refusal::new(Code::BadRequest, format!("header `{name}`: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn file_metadata_is_read_from_headers() {
        let digest = Sha256Digest::of(b"x");
        let field: &'static str = digest.to_repr_digest().leak();
        let fields = [("Repr-Digest", field), ("X-Mtime-Ns", "-5"), ("X-Mode", "0644")];

        let metadata = file_metadata(&headers(&fields)).unwrap();

        let want = FileMetadata { sha256: Some(digest), mtime_ns: Some(-5), mode: Some(0o644) };
        assert_eq!(metadata, want);
    }

    #[test]
    fn a_malformed_header_is_refused_by_name() {
        #[rustfmt::skip]
        let cases: [&[_]; 7] = [
            &[("X-Mtime-Ns", "soon")],
            &[("X-Mtime-Ns", "99999999999999999999999")],
            &[("X-Mode", "rw-")],
            &[("X-Mode", "10000")],
            &[("X-Mode", "0644"), ("X-Mode", "0600")],
            &[("Repr-Digest", "sha-256=abc")],
            &[("Repr-Digest", "sha-256=:AAAA:")],
        ];
        for fields in cases {
            let refusal = file_metadata(&headers(fields)).unwrap_err();
            assert_eq!(refusal.code, Code::BadRequest);
            let name = fields[0].0.to_lowercase();
            assert!(refusal.detail.contains(&name), "{name}: {}", refusal.detail);
        }
    }
}
