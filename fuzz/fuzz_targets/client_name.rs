//! A client name is one safe segment of a key, and its text is not changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3up_core::{ClientName, RemotePath};

fuzz_target!(|text: &str| {
    let Ok(name) = ClientName::parse(text) else { return };

    assert_eq!(name.as_str(), text);
    assert!((1..=63).contains(&text.len()));
    assert!(text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')));
    assert!(text.starts_with(|c: char| c.is_ascii_alphanumeric()));
    RemotePath::parse(text).expect("a client name is a path of one segment");
});
