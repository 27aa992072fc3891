//! Encodes the name of a local file for use in a remote path, and decodes it.
//!
//! Linux names are bytes without `/` and NUL; remote paths are UTF-8 without
//! control characters and backslashes. Bytes that a remote path cannot hold are
//! written as `%XX`. A `%` before two hex digits is escaped too, so the mapping
//! is reversible: `decode(encode(name)) == name` for any bytes. All other text
//! stays as it is, so that ordinary names are the same on both sides. There is
//! no Unicode normalisation: names that differ in bytes stay different.

/// Encodes `name`, which is one name or a path with `/` between names.
pub fn encode(name: &[u8]) -> String {
    if let Some(text) = unescaped(name) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    for piece in name.utf8_chunks() {
        for c in piece.valid().chars() {
            let escaped = c.is_control() || c == '\\' || (c == '%' && escape_at(rest).is_some());
            let (bytes, after) = rest.split_at(c.len_utf8());
            rest = after;
            if escaped { push_escaped(&mut text, bytes) } else { text.push(c) }
        }
        let (bytes, after) = rest.split_at(piece.invalid().len());
        rest = after;
        push_escaped(&mut text, bytes);
    }
    text
}

/// Returns the bytes that [`encode`] wrote as `text`.
pub fn decode(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match escape_at(rest) {
            Some(byte) => {
                name.push(byte);
                rest = &rest[3..];
            }
            None => {
                name.push(first);
                rest = after;
            }
        }
    }
    name
}

/// Returns a name that is ASCII and has nothing to escape, as most names are. Listings encode millions.
fn unescaped(name: &[u8]) -> Option<&str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'\\') & (byte != b'%');
    let all_plain = name.iter().fold(true, |plain, byte| plain & is_plain(*byte));
    all_plain.then(|| str::from_utf8(name).ok())?
}

/// Returns the byte that a `%XX` at the start of `bytes` stands for.
fn escape_at(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| (byte as char).to_digit(16);
    let byte = digit(*high)? * 16 + digit(*low)?;
    u8::try_from(byte).ok()
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        text.push('%');
        text.push(HEX[usize::from(byte >> 4)] as char);
        text.push(HEX[usize::from(byte & 15)] as char);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::RemotePath;

    #[test]
    fn only_what_a_remote_path_cannot_hold_is_escaped() {
        #[rustfmt::skip]
        let cases: [(&[u8], &str); 14] = [
            (b"plain.txt",            "plain.txt"),
            (b"a/b c+#?&\"'",         "a/b c+#?&\"'"),
            ("caf\u{e9}".as_bytes(),  "caf\u{e9}"),
            (b"caf\xe9.jpg",          "caf%E9.jpg"),
            (b"\xff\xfe",             "%FF%FE"),
            (b"new\nline\ttab\x01",   "new%0Aline%09tab%01"),
            (b"del\x7f",              "del%7F"),
            ("c1\u{85}".as_bytes(),   "c1%C2%85"),
            (b"back\\slash",          "back%5Cslash"),
            (b"100%",                 "100%"),
            (b"100% sure",            "100% sure"),
            (b"%41",                  "%2541"),
            (b"%%41",                 "%%2541"),
            (b"%4\x31\xe9",           "%2541%E9"),
        ];
        for (name, want) in cases {
            assert_eq!(encode(name), want);
            assert_eq!(decode(want), name, "{want}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_survive_a_round_trip(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(decode(&encode(&name)), name);
        }

        #[test]
        fn names_full_of_percent_signs_survive_a_round_trip(name in "[%0-9a-fA-F\\\\\u{e9}]{0,24}") {
            prop_assert_eq!(decode(&encode(name.as_bytes())), name.as_bytes());
        }

        #[test]
        fn any_name_becomes_a_remote_path(
            name in proptest::collection::vec(any::<u8>().prop_filter("a name", |b| !b"/\0".contains(b)), 1..64)
        ) {
            prop_assume!(name != b"." && name != b"..");
            prop_assert!(RemotePath::parse(&encode(&name)).is_ok());
        }
    }
}
