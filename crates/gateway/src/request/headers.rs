//! Request headers, parsed strictly: one that is given twice or is malformed is
//! refused by name.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use s3up_core::wire::{HOT_HEADER, MODE_HEADER, MTIME_NS_HEADER, REPR_DIGEST_HEADER};
use s3up_core::{Code, Sha256Digest};

use crate::refusal::Refusal;
use crate::uploads::metadata::{FileMetadata, parse_hot, parse_mode, parse_mtime_ns};

/// Maximum length of a `Content-Type`. Names of types have at most 255 characters
/// (RFC 6838), and S3 limits all headers of a request together to 8 KiB.
const CONTENT_TYPE_BYTES_MAX: usize = 1 << 10;

/// Returns the metadata of the file in the body of `PUT /files/{path}`.
pub(crate) fn file_metadata(headers: &HeaderMap) -> Result<FileMetadata, Refusal> {
    let mut metadata = FileMetadata::default();
    // An empty field is a dictionary without members (RFC 9651): it announces nothing.
    let field = text(headers, REPR_DIGEST_HEADER)?.filter(|field| !field.trim().is_empty());
    if let Some(field) = field {
        let digest = Sha256Digest::parse_repr_digest(field)
            .map_err(|err| malformed(REPR_DIGEST_HEADER, err))?;
        // A digest that is not checked would be no protection.
        metadata.sha256 = Some(digest.ok_or_else(|| {
            malformed(REPR_DIGEST_HEADER, format!("expected sha-256=:BASE64:, found {field:?}"))
        })?);
    }
    if let Some(field) = text(headers, MTIME_NS_HEADER)? {
        let ns = parse_mtime_ns(field).map_err(|err| malformed(MTIME_NS_HEADER, err))?;
        metadata.mtime_ns = Some(ns);
    }
    if let Some(field) = text(headers, MODE_HEADER)? {
        metadata.mode = Some(parse_mode(field).map_err(|err| malformed(MODE_HEADER, err))?);
    }
    if let Some(field) = text(headers, HOT_HEADER)? {
        metadata.is_hot = parse_hot(field).map_err(|err| malformed(HOT_HEADER, err))?;
    }
    Ok(metadata)
}

/// Returns the `Content-Type`. S3 gets it in a signed header, so it must be
/// printable and short.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let name = header::CONTENT_TYPE.as_str();
    let Some(field) = text(headers, name)? else { return Ok(None) };
    if field.len() > CONTENT_TYPE_BYTES_MAX {
        let found = field.len();
        let what = format!("expected at most {CONTENT_TYPE_BYTES_MAX} bytes, found {found}");
        return Err(malformed(name, what));
    }
    if field.chars().any(|c| c.is_ascii_control()) {
        return Err(malformed(name, "expected printable characters, found a control character"));
    }
    Ok(Some(field))
}

/// Refuses a request whose body is only a part of a file, is encoded, or has an
/// unknown end: the gateway stores the bytes of a body as they are.
pub(crate) fn check_body(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::CONTENT_RANGE) {
        let what = "expected none, found one; send the whole file, without this header";
        return Err(malformed(header::CONTENT_RANGE.as_str(), what));
    }
    let transfer: Vec<_> = tokens(headers, &header::TRANSFER_ENCODING).collect();
    if transfer.iter().any(|coding| coding != "chunked") || transfer.len() > 1 {
        let found = transfer.join(", ");
        let what = format!("expected Transfer-Encoding: chunked or none, found {found:?}");
        return Err(Refusal::new(Code::NotImplemented, what));
    }
    check_content_encoding(headers)?;
    if version < Version::HTTP_11 && !headers.contains_key(header::CONTENT_LENGTH) {
        let what = "expected a Content-Length (HTTP/1.0), found none";
        return Err(Refusal::new(Code::LengthRequired, what));
    }
    Ok(())
}

/// Refuses a part of a form whose bytes are encoded.
pub(crate) fn check_part(headers: &HeaderMap) -> Result<(), Refusal> {
    check_content_encoding(headers)?;
    let plain = ["7bit", "8bit", "binary"];
    let name = HeaderName::from_static("content-transfer-encoding");
    match tokens(headers, &name).find(|coding| !plain.contains(&coding.as_str())) {
        Some(found) => Err(encoded("Content-Transfer-Encoding", &found)),
        None => Ok(()),
    }
}

fn check_content_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    match tokens(headers, &header::CONTENT_ENCODING).find(|coding| coding != "identity") {
        Some(found) => Err(encoded("Content-Encoding", &found)),
        None => Ok(()),
    }
}

fn encoded(name: &str, found: &str) -> Refusal {
    let what = format!("expected no {name}, found {found:?}; send the file without this encoding");
    Refusal::new(Code::UnsupportedEncoding, what)
}

/// Returns the elements of a list header, in lower case.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + 'h {
    let fields =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let elements = fields.flat_map(|field| {
        field.split(',').map(|text| text.trim().to_lowercase()).collect::<Vec<_>>()
    });
    elements.filter(|element| !element.is_empty())
}

/// Returns the announced length of the body.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(field) = text(headers, header::CONTENT_LENGTH.as_str())? else { return Ok(None) };
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // A proxy in front of the gateway may go by the other one.
        return Err(malformed(
            "content-length",
            "expected no transfer-encoding beside it, found one",
        ));
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
        return Err(malformed(name, "expected once, found twice"));
    }
    let readable = |value: &'h HeaderValue| {
        value.to_str().map_err(|_| malformed(name, "expected ASCII text, found other characters"))
    };
    first.map(readable).transpose()
}

fn malformed(name: &str, what: impl fmt::Display) -> Refusal {
    Refusal::new(Code::BadRequest, format!("header `{name}`: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_whole_file_and_not_encoded() {
        use Code::{BadRequest, LengthRequired, NotImplemented, UnsupportedEncoding};
        const V10: Version = Version::HTTP_10;
        const V11: Version = Version::HTTP_11;
        #[rustfmt::skip]
        let cases: [(_, &[_], _); 14] = [
            (V11, &[],                                             None),
            (V11, &[("Content-Length", "5")],                      None),
            (V10, &[("Content-Length", "5")],                      None),
            (V10, &[],                                             Some(LengthRequired)),
            (V11, &[("Content-Range", "bytes 5-9/10")],            Some(BadRequest)),
            (V11, &[("Content-Range", "bytes 0-9/10")],            Some(BadRequest)),
            (V11, &[("Transfer-Encoding", "chunked")],             None),
            (V11, &[("Transfer-Encoding", "Chunked ")],            None),
            (V11, &[("Transfer-Encoding", "gzip, chunked")],       Some(NotImplemented)),
            (V11, &[("Transfer-Encoding", "gzip"), ("Transfer-Encoding", "chunked")], Some(NotImplemented)),
            (V11, &[("Transfer-Encoding", "chunked, chunked")],    Some(NotImplemented)),
            (V11, &[("Content-Encoding", "identity")],             None),
            (V11, &[("Content-Encoding", "gzip")],                 Some(UnsupportedEncoding)),
            (V11, &[("Content-Encoding", "identity"), ("Content-Encoding", "br")], Some(UnsupportedEncoding)),
        ];
        for (version, fields, want) in cases {
            let got = check_body(version, &headers(fields)).err().map(|refusal| refusal.code);
            assert_eq!(got, want, "{version:?} {fields:?}");
        }
    }

    #[test]
    fn a_part_of_a_form_is_not_encoded() {
        #[rustfmt::skip]
        let cases: [(&[_], _); 5] = [
            (&[],                                       false),
            (&[("Content-Transfer-Encoding", "binary")], false),
            (&[("Content-Transfer-Encoding", "8BIT")],  false),
            (&[("Content-Transfer-Encoding", "base64")], true),
            (&[("Content-Encoding", "gzip")],           true),
        ];
        for (fields, refused) in cases {
            assert_eq!(check_part(&headers(fields)).is_err(), refused, "{fields:?}");
        }
    }

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
        let fields =
            [("Repr-Digest", field), ("X-Mtime-Ns", "-5"), ("X-Mode", "0644"), ("X-Hot", "true")];

        let metadata = file_metadata(&headers(&fields)).unwrap();

        let want = FileMetadata {
            sha256: Some(digest),
            mtime_ns: Some(-5),
            mode: Some(0o644),
            is_hot: true,
        };
        assert_eq!(metadata, want);
    }

    #[test]
    fn an_empty_digest_announces_nothing() {
        for field in ["", " "] {
            let metadata = file_metadata(&headers(&[("Repr-Digest", field)])).unwrap();
            assert_eq!(metadata.sha256, None, "{field:?}");
        }
    }

    #[test]
    fn a_malformed_header_is_refused_by_name() {
        #[rustfmt::skip]
        let cases: [&[_]; 10] = [
            &[("X-Hot", "1")],
            &[("X-Mtime-Ns", "soon")],
            &[("X-Mtime-Ns", "99999999999999999999999")],
            &[("X-Mode", "rw-")],
            &[("X-Mode", "10000")],
            &[("X-Mode", "0644"), ("X-Mode", "0600")],
            &[("Repr-Digest", "sha-256=abc")],
            &[("Repr-Digest", "AAA")],
            &[("Repr-Digest", "sha-512=:AAAA:")],
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
