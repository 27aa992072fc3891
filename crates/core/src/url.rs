//! Remote paths in a URL, and the parameters of its query: percent-decoded once,
//! and parsed strictly.
//!
//! Common decoders replace bytes that are not UTF-8. Here they are refused,
//! because a path is never cleaned up. A parameter that is given twice is
//! refused too, because two readers could take different ones of the two.

use percent_encoding::percent_decode_str;

use crate::{PathRule, RemotePath};

/// The rule that a URL breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error(transparent)]
    Path(#[from] PathRule),
    #[error("expected the parameter `{name}` once, found it twice")]
    Twice { name: String },
    #[error("expected a parameter `path` in the query, found none")]
    NoPath,
}

/// Returns the parameter `name` of a query, if it has one.
pub fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, UrlError> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(&key.replace('+', " "))? != name {
            continue;
        }
        if found.replace(decode(&value.replace('+', " "))?).is_some() {
            return Err(UrlError::Twice { name: name.to_owned() });
        }
    }
    Ok(found)
}

/// Returns the remote path in `?path=`.
pub fn path_parameter(query: Option<&str>) -> Result<RemotePath, UrlError> {
    let text = parameter(query, "path")?.ok_or(UrlError::NoPath)?;
    Ok(RemotePath::parse(&text)?)
}

/// Returns the remote path that follows `call` in the path of a URL.
pub fn path_after(call: &str, url_path: &str) -> Result<RemotePath, UrlError> {
    let raw = url_path.strip_prefix(call).unwrap_or_default();
    Ok(RemotePath::parse(&decode(raw)?)?)
}

fn decode(text: &str) -> Result<String, PathRule> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    String::from_utf8(bytes).map_err(|_| PathRule::NotUtf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ClientName, Key, KeyPrefix};

    #[test]
    fn a_path_in_a_query_is_parsed_strictly() {
        #[rustfmt::skip]
        let cases = [
            (None,                       Err(false)),
            (Some(""),                   Err(false)),
            (Some("x=y"),                Err(false)),
            (Some("path=a/b"),           Ok("a/b")),
            (Some("path=a%2Fb"),         Ok("a/b")),
            (Some("x=1&path=a+b%2B"),    Ok("a b+")),
            (Some("p%61th=a"),           Ok("a")),
            (Some("path=%2541"),         Ok("%41")),
            (Some("path=a&path=a"),      Err(false)),
            (Some("path=a&p%61th=b"),    Err(false)),
            (Some("path="),              Err(true)),
            (Some("path"),               Err(true)),
            (Some("path=..%2Fa"),        Err(true)),
            (Some("path=%c0%ae"),        Err(true)),
            (Some("path=%ed%a0%80"),     Err(true)),
            (Some("path=a%00"),          Err(true)),
        ];
        for (query, want) in cases {
            let got = path_parameter(query).map_err(|err| matches!(err, UrlError::Path(_)));
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
            ("/files/",            Err(true)),
            ("/files//a",          Err(true)),
            ("/files/a/",          Err(true)),
            ("/files/%2e%2e/a",    Err(true)),
            ("/files/..%2fa",      Err(true)),
            ("/files/%e9",         Err(true)),
            ("/files/a%5Cb",       Err(true)),
            ("/files/%252e%252e",  Ok("%2e%2e")),
        ];
        for (url_path, want) in cases {
            let got =
                path_after("/files/", url_path).map_err(|err| matches!(err, UrlError::Path(_)));
            assert_eq!(got.as_ref().map(RemotePath::as_str), want.as_ref().copied(), "{url_path}");
        }
    }

    /// Encodes every byte, so that nothing depends on which of them need it.
    fn encode(path: &str) -> String {
        path.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn a_path_that_is_encoded_is_decoded_to_itself(text in "[a./%+&=\u{e9}\u{2024}-]{1,16}") {
            if let Ok(path) = RemotePath::parse(&text) {
                let query = format!("x=1&path={}", encode(&text));
                prop_assert_eq!(path_parameter(Some(&query)).unwrap(), path.clone());
                let url = format!("/files/{}", encode(&text));
                prop_assert_eq!(path_after("/files/", &url).unwrap(), path);
            }
        }

        #[test]
        fn no_request_names_a_key_outside_the_prefix_of_its_client(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "a", ".", "..", "/", "\\", "%2f", "%2e", "%2e%2e", "%5c", "%252e", "%25", "%00", "+",
                    "&path=", "webapp", "-prod", "sites", "%c0%ae", "\u{2024}", "\u{ff0e}", "\u{2215}", "%",
                ]),
                1..8,
            ),
        ) {
            let text = pieces.concat();
            let prefix = KeyPrefix::parse("sites").unwrap();
            let client = ClientName::parse("webapp").unwrap();
            let paths = [
                path_after("/files/", &format!("/files/{text}")),
                path_parameter(Some(&format!("path={text}"))),
            ];
            for path in paths.into_iter().flatten() {
                let key = Key::of_file(&prefix, &client, &path).unwrap();
                let below = key.as_str().strip_prefix("sites/webapp/");
                prop_assert!(below.is_some_and(|below| !below.is_empty()), "{}", key);
                for segment in key.as_str().split('/') {
                    prop_assert!(!matches!(segment, "" | "." | ".."), "{}", key);
                }
            }
        }
    }
}
