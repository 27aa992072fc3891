//! The text of a remote path is not changed, and the path cannot leave its directory.
//! Any file name can be escaped to a remote path and decoded to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3up_core::{KEY_BYTES_MAX, RemotePath, escape};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(path) = RemotePath::parse(text)
    {
        assert_eq!(path.as_str(), text);
        assert_safe(text);
        assert!(text.ends_with(path.file_name()) && !path.file_name().contains('/'));
    }

    let escaped = escape::encode(bytes);
    assert_eq!(escape::decode(&escaped), bytes);
    let is_name = !bytes.is_empty() && !bytes.contains(&b'/') && !bytes.contains(&0);
    if is_name && bytes != b"." && bytes != b".." && escaped.len() <= KEY_BYTES_MAX {
        RemotePath::parse(&escaped).expect("any file name can be escaped to a remote path");
    }
});

fn assert_safe(path: &str) {
    assert!((1..=KEY_BYTES_MAX).contains(&path.len()));
    assert!(!path.chars().any(|c| c.is_control() || c == '\\'));
    assert!(path.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
}
