//! What a sender says of a file, besides its bytes.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use s3up_core::wire::{MODE_HEADER, MTIME_NS_HEADER, REPR_DIGEST_HEADER};
use s3up_core::{Code, RemotePath, Sha256Digest};

use crate::refusal::Refusal;

/// User metadata of an object.
pub(crate) const MTIME_NS_METADATA: &str = "mtime-ns";
const MODE_METADATA: &str = "mode";
const CONTENT_TYPE_UNKNOWN: &str = "application/octet-stream";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    pub sha256: Option<Sha256Digest>,
    pub mtime_ns: Option<i64>,
    /// Permission bits.
    pub mode: Option<u32>,
}

impl Tags {
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Tags, Refusal> {
        let mut tags = Tags::default();
        if let Some(field) = text(headers, REPR_DIGEST_HEADER)? {
            tags.sha256 = Sha256Digest::parse_repr_digest(field)
                .map_err(|err| bad(REPR_DIGEST_HEADER, err))?;
        }
        if let Some(field) = text(headers, MTIME_NS_HEADER)? {
            tags.set(MTIME_NS_HEADER, field)?;
        }
        if let Some(field) = text(headers, MODE_HEADER)? {
            tags.set(MODE_HEADER, field)?;
        }
        Ok(tags)
    }

    /// Sets one tag by the name of its header or form field.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "sha256" => {
                let digest = Sha256Digest::parse_hex(value).map_err(|err| bad(name, err))?;
                self.sha256 = Some(digest);
            }
            "mtime_ns" | MTIME_NS_HEADER => {
                let ns = value.parse().map_err(|_| {
                    bad(name, format!("expected nanoseconds since 1970, found {value:?}"))
                })?;
                self.mtime_ns = Some(ns);
            }
            _ => {
                let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777);
                let what = || bad(name, format!("expected octal permission bits, found {value:?}"));
                self.mode = Some(mode.ok_or_else(what)?);
            }
        }
        Ok(())
    }

    /// As user metadata; the digest is added by the store.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let mtime = self.mtime_ns.map(|ns| (MTIME_NS_METADATA.to_owned(), ns.to_string()));
        let mode = self.mode.map(|mode| (MODE_METADATA.to_owned(), format!("{mode:04o}")));
        mtime.into_iter().chain(mode).collect()
    }
}

/// What is stored as Content-Type: what the sender said, else what the name says.
pub(crate) fn content_type(said: Option<&str>, path: &RemotePath) -> String {
    let by_name = || mime_guess::from_path(path.as_str()).first_raw();
    let said = said.filter(|said| !said.is_empty() && *said != CONTENT_TYPE_UNKNOWN);
    said.or_else(by_name).unwrap_or(CONTENT_TYPE_UNKNOWN).to_owned()
}

pub(crate) fn content_type_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// The announced length of the body.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(field) = text(headers, header::CONTENT_LENGTH.as_str())? else { return Ok(None) };
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // A proxy might believe the other one.
        return Err(bad("content-length", "stands beside transfer-encoding"));
    }
    let length = field.parse();
    length.map(Some).map_err(|_| bad("content-length", format!("found {field:?}")))
}

/// A client that waits for `100 Continue` has not sent its body yet.
pub(crate) fn waits_for_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A header as text; one that is given twice is refused.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(bad(name, "is given twice"));
    }
    let readable = |value: &'h axum::http::HeaderValue| {
        value.to_str().map_err(|_| bad(name, "is not plain text"))
    };
    first.map(readable).transpose()
}

fn bad(name: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::BadRequest, format!("`{name}`: {what}"))
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
    fn headers_are_read() {
        let digest = Sha256Digest::of(b"x");
        let field: &'static str = digest.to_repr_digest().leak();
        let fields = [("Repr-Digest", field), ("X-Mtime-Ns", "-5"), ("X-Mode", "0644")];
        let tags = Tags::of_headers(&headers(&fields)).unwrap();

        let want = Tags { sha256: Some(digest), mtime_ns: Some(-5), mode: Some(0o644) };
        assert_eq!(tags, want);
        let metadata: Vec<_> = tags.metadata().into_iter().collect();
        let want = [("mode", "0644"), ("mtime-ns", "-5")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(metadata, want);
    }

    #[test]
    fn a_bad_header_is_refused_by_name() {
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
            let refusal = Tags::of_headers(&headers(fields)).unwrap_err();
            assert_eq!(refusal.code, Code::BadRequest);
            let name = fields[0].0.to_lowercase();
            assert!(refusal.detail.contains(&name), "{name}: {}", refusal.detail);
        }
    }

    #[test]
    fn a_content_type_is_what_was_said_or_what_the_name_says() {
        #[rustfmt::skip]
        let cases = [
            (Some("text/x-own"),                "a.jpg",     "text/x-own"),
            (None,                              "a.jpg",     "image/jpeg"),
            (Some(""),                          "a.html",    "text/html"),
            (Some("application/octet-stream"),  "a.pdf",     "application/pdf"),
            (None,                              "a",         "application/octet-stream"),
            (None,                              ".htaccess", "application/octet-stream"),
        ];
        for (said, path, want) in cases {
            assert_eq!(content_type(said, &RemotePath::parse(path).unwrap()), want, "{path}");
        }
    }
}
