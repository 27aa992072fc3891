//! No URL leads to a key outside the prefix of the client that sends it, and a path that is
//! percent-encoded is decoded to itself, once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3up_core::{ClientName, Key, KeyPrefix, RemotePath, url};

fuzz_target!(|texts: (&str, &str)| {
    let (text, path) = texts;
    let prefix = KeyPrefix::parse("sites").expect("a prefix");
    let client = ClientName::parse("webapp").expect("a client");
    for found in [
        url::path_after("/files/", text),
        url::path_after("/files/", &format!("/files/{text}")),
        url::path_parameter(Some(text)),
        url::path_parameter(Some(&format!("path={text}"))),
    ] {
        let Ok(found) = found else { continue };
        let Ok(key) = Key::of_file(&prefix, &client, &found) else { continue };
        let below = key.as_str().strip_prefix("sites/webapp/").expect("a key of the client");
        assert_eq!(below, found.as_str());
        assert!(key.as_str().split('/').all(|segment| !matches!(segment, "" | "." | "..")));
        assert!(!key.as_str().chars().any(|c| c.is_control() || c == '\\'));
    }
    let Ok(path) = RemotePath::parse(path) else { return };
    let encoded: String = path.as_str().bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(url::path_after("/files/", &format!("/files/{encoded}")), Ok(path.clone()));
    assert_eq!(url::path_parameter(Some(&format!("x=1&path={encoded}"))), Ok(path));
});
