//! The text of a key is not changed, a prefix ends with one slash, and the key of a
//! file is always below the prefix of its client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3up_core::{ClientName, KEY_BYTES_MAX, Key, KeyPrefix, RemotePath};

fuzz_target!(|texts: (&str, &str, &str)| {
    let (prefix, client, path) = texts;
    if let Ok(key) = Key::parse(path) {
        assert_eq!(key.as_str(), path);
        assert_safe(path);
    }
    let Ok(prefix) = KeyPrefix::parse(prefix) else { return };
    assert_eq!(KeyPrefix::parse(prefix.as_str()), Ok(prefix.clone()));
    if !prefix.as_str().is_empty() {
        assert_safe(prefix.as_str().strip_suffix('/').expect("a prefix ends with a slash"));
    }
    let (Ok(client), Ok(path)) = (ClientName::parse(client), RemotePath::parse(path)) else {
        return;
    };
    match Key::of_file(&prefix, &client, &path) {
        Ok(key) => {
            assert_safe(key.as_str());
            assert_eq!(key.as_str(), format!("{prefix}{client}/{path}"));
            assert_eq!(Key::parse(key.as_str()), Ok(key));
        }
        Err(_) => assert!(format!("{prefix}{client}/{path}").len() > KEY_BYTES_MAX),
    }
});

fn assert_safe(key: &str) {
    assert!((1..=KEY_BYTES_MAX).contains(&key.len()));
    assert!(!key.chars().any(|c| c.is_control() || c == '\\'));
    assert!(key.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
}
