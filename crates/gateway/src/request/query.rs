//! Remote paths in a URL, and the parameters of its query: percent-decoded once,
//! and parsed strictly.
//!
//! Common decoders replace bytes that are not UTF-8. Here they are refused,
//! because a path is never cleaned up. A parameter that is given twice is
//! refused too, because two readers could take different ones of the two.

use percent_encoding::percent_decode_str;
use s3up_core::{Code, PathRule, RemotePath};

use crate::refusal::Refusal;

/// Returns the parameter `name` of a query, if it has one.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, Refusal> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(&key.replace('+', " "))? != name {
            continue;
        }
        if found.replace(decode(&value.replace('+', " "))?).is_some() {
            return Err(Refusal::new(Code::BadRequest, format!("the query has `{name}` twice")));
        }
    }
    Ok(found)
}

/// Returns the remote path in `?path=`.
pub(crate) fn path_parameter(query: Option<&str>) -> Result<RemotePath, Refusal> {
    let missing = || Refusal::new(Code::BadRequest, "expected a parameter `path` in the query");
    let text = parameter(query, "path")?.ok_or_else(missing)?;
    Ok(RemotePath::parse(&text)?)
}

/// Returns the remote path that follows `/files/` in the path of a URL.
pub(crate) fn path_in_url(url_path: &str) -> Result<RemotePath, Refusal> {
    let raw = url_path.strip_prefix("/files/").unwrap_or_default();
    Ok(RemotePath::parse(&decode(raw)?)?)
}

fn decode(text: &str) -> Result<String, Refusal> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    String::from_utf8(bytes).map_err(|_| PathRule::NotUtf8.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_query_is_parsed_strictly() {
        #[rustfmt::skip]
        let cases = [
            (None,                       Err(Code::BadRequest)),
            (Some(""),                   Err(Code::BadRequest)),
            (Some("x=y"),                Err(Code::BadRequest)),
            (Some("path=a/b"),           Ok("a/b")),
            (Some("path=a%2Fb"),         Ok("a/b")),
            (Some("x=1&path=a+b%2B"),    Ok("a b+")),
            (Some("p%61th=a"),           Ok("a")),
            (Some("path=%2541"),         Ok("%41")),
            (Some("path=a&path=a"),      Err(Code::BadRequest)),
            (Some("path=a&p%61th=b"),    Err(Code::BadRequest)),
            (Some("path="),              Err(Code::BadPath)),
            (Some("path"),               Err(Code::BadPath)),
            (Some("path=..%2Fa"),        Err(Code::BadPath)),
            (Some("path=%c0%ae"),        Err(Code::BadPath)),
            (Some("path=%ed%a0%80"),     Err(Code::BadPath)),
            (Some("path=a%00"),          Err(Code::BadPath)),
        ];
        for (query, want) in cases {
            let got = path_parameter(query).map_err(|refusal| refusal.code);
            assert_eq!(got.as_ref().map(RemotePath::as_str), want.as_ref().copied(), "{query:?}");
        }
    }

    #[test]
    fn a_path_in_a_url_is_decoded_once() {
        #[rustfmt::skip]
        let cases = [
            ("/files/a/b",         Ok("a/b")),
            ("/files/caf%25E9",    Ok("caf%E9")),
            ("/files/a+b",         Ok("a+b")),
            ("/files/",            Err(Code::BadPath)),
            ("/files//a",          Err(Code::BadPath)),
            ("/files/a/",          Err(Code::BadPath)),
            ("/files/%2e%2e/a",    Err(Code::BadPath)),
            ("/files/..%2fa",      Err(Code::BadPath)),
            ("/files/%e9",         Err(Code::BadPath)),
            ("/files/a%5Cb",       Err(Code::BadPath)),
            ("/files/%252e%252e",  Ok("%2e%2e")),
        ];
        for (url_path, want) in cases {
            let got = path_in_url(url_path).map_err(|refusal| refusal.code);
            assert_eq!(got.as_ref().map(RemotePath::as_str), want.as_ref().copied(), "{url_path}");
        }
    }
}
