//! Says under which name a remote file is restored.
//!
//! A name that an agent wrote is decoded to the bytes that it had on its host. A segment that no
//! agent writes (`%41`, which is `A` without an escape; `%2F`, which would be a slash) stays as it
//! is. So no segment can spell a path, and two remote paths of an agent never get the same name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use s3up_core::escape;

/// Returns the local name of `path`, which is a remote path or the end of one.
pub fn local_name(path: &str) -> PathBuf {
    path.split('/').map(|segment| OsString::from_vec(decode(segment))).collect()
}

fn decode(segment: &str) -> Vec<u8> {
    let name = escape::decode(segment);
    let is_name = !name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..";
    if is_name && escape::encode(&name) == segment { name } else { segment.as_bytes().to_vec() }
}

/// Returns the part of `path` that is below `prefix`, a directory with or without a slash at its
/// end; `None` if it is not below it.
pub fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Some(path);
    }
    path.strip_prefix(prefix)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;
    use s3up_core::RemotePath;

    use super::*;

    #[test]
    fn a_name_is_the_one_of_the_host_or_stays_as_it_is() {
        #[rustfmt::skip]
        let cases: [(&str, &[u8]); 10] = [
            ("a/b.txt",         b"a/b.txt"),
            ("caf%E9.jpg",      b"caf\xe9.jpg"),
            ("new%0Aline",      b"new\nline"),
            ("100%2541",        b"100%41"),
            ("%41",             b"%41"),
            ("caf%e9",          b"caf%e9"),
            ("..%2F..%2Fetc",   b"..%2F..%2Fetc"),
            ("a/%2E%2E/b",      b"a/%2E%2E/b"),
            ("%2e",             b"%2e"),
            ("a%00b",           b"a%00b"),
        ];
        for (path, want) in cases {
            assert_eq!(local_name(path).as_os_str().as_bytes(), want, "{path}");
        }
    }

    #[test]
    fn a_path_is_below_a_directory_and_not_below_its_namesake() {
        #[rustfmt::skip]
        let cases = [
            ("up/a",   "up",   Some("a")),
            ("up/a",   "up/",  Some("a")),
            ("up/a",   "",     Some("up/a")),
            ("up2/a",  "up",   None),
            ("up",     "up",   None),
        ];
        for (path, prefix, want) in cases {
            assert_eq!(below(path, prefix), want, "{path} {prefix}");
        }
    }

    proptest! {
        #[test]
        fn every_name_of_a_host_comes_back(
            name in proptest::collection::vec(any::<u8>().prop_filter("a name", |b| !b"/\0".contains(b)), 1..64)
        ) {
            prop_assume!(name != b"." && name != b"..");
            let path = RemotePath::parse(&escape::encode(&name)).unwrap();
            let found = local_name(path.as_str());
            prop_assert_eq!(found.as_os_str().as_bytes(), &name[..]);
        }

        #[test]
        fn no_remote_path_leaves_the_directory(text in "[a%./20eEfF]{1,24}") {
            prop_assume!(RemotePath::parse(&text).is_ok());
            let name = local_name(&text);
            let is_normal = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
            prop_assert!(name.components().all(is_normal), "{:?}", name);
            prop_assert_eq!(name.components().count(), text.split('/').count());
        }
    }
}
