//! Keys: the names of objects in the bucket.
//!
//! A [`Key`] is checked once, when it is built, and trusted from then on. The
//! gateway joins its keys from checked types, never from text, so that no
//! client can reach outside `{prefix}{client}/`.

use std::fmt;

use crate::{ClientName, KEY_BYTES_MAX, PathRule, RemotePath, remote_path};

/// A checked key: `/`-separated, relative, with no empty, `.` or `..`
/// segment and no control character, at most [`KEY_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("key {text:?}: {rule}")]
    Rule { text: String, rule: PathRule },
    #[error("prefix {text:?}: {rule}")]
    Prefix { text: String, rule: PathRule },
}

impl Key {
    /// Checks `text` and keeps it as it is: a key is never cleaned up silently.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        match remote_path::broken_rule(text) {
            None => Ok(Key(text.to_owned())),
            Some(rule) => Err(KeyError::Rule { text: text.to_owned(), rule }),
        }
    }

    /// Joins `{prefix}{client}/{path}`, with exactly one slash at each joint.
    ///
    /// Fails only if the key is longer than [`KEY_BYTES_MAX`].
    pub fn of_file(
        prefix: &KeyPrefix,
        client: &ClientName,
        path: &RemotePath,
    ) -> Result<Key, PathRule> {
        let key = format!("{prefix}{client}/{path}");
        if key.len() > KEY_BYTES_MAX {
            return Err(PathRule::TooLong { bytes: key.len() });
        }
        Ok(Key(key))
    }

    /// Returns the path of a file of `client`, if this is the key of one.
    pub fn file_path(&self, prefix: &KeyPrefix, client: &ClientName) -> Option<RemotePath> {
        file_path(&self.0, prefix, client)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the path of a file of `client` from its key as a listing has it. `None`: the key
/// belongs to another client, or was not written by a gateway.
pub fn file_path(key: &str, prefix: &KeyPrefix, client: &ClientName) -> Option<RemotePath> {
    let path = key.strip_prefix(prefix.as_str())?.strip_prefix(client.as_str())?;
    RemotePath::parse(path.strip_prefix('/')?).ok()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The leading part of all keys of one gateway or host: empty, or checked like
/// a [`Key`] and ending in exactly one slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Checks `text`. Slashes at its end become one; nothing else is changed.
    pub fn parse(text: &str) -> Result<KeyPrefix, KeyError> {
        let bare = text.trim_end_matches('/');
        if bare.is_empty() && !text.starts_with('/') {
            return Ok(KeyPrefix::default());
        }
        match remote_path::broken_rule(bare) {
            None => Ok(KeyPrefix(format!("{bare}/"))),
            Some(_) if bare.is_empty() => Err(prefix_error(text, PathRule::Absolute)),
            Some(rule) => Err(prefix_error(text, rule)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn prefix_error(text: &str, rule: PathRule) -> KeyError {
    KeyError::Prefix { text: text.to_owned(), rule }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_path_of_a_file_is_read_from_the_key_of_its_client_only() {
        #[rustfmt::skip]
        let cases = [
            ("b/webapp/a/b.txt",   Some("a/b.txt")),
            ("b/webapp-prod/a",    None),
            ("b/webapp/",          None),
            ("b/webapp",           None),
            ("b/webapp//a",        None),
            ("b/webapp/../x",      None),
            ("webapp/a",           None),
            ("b/b/webapp/a",       None),
        ];
        let (prefix, client) =
            (KeyPrefix::parse("b").unwrap(), ClientName::parse("webapp").unwrap());
        for (key, want) in cases {
            let path = file_path(key, &prefix, &client);
            assert_eq!(path.as_ref().map(RemotePath::as_str), want, "{key}");
        }
    }

    #[test]
    fn a_file_key_has_one_slash_at_each_joint() {
        #[rustfmt::skip]
        let cases = [
            ("",           "webapp", "a.txt",   "webapp/a.txt"),
            ("backups",    "webapp", "a/b.txt", "backups/webapp/a/b.txt"),
            ("backups/",   "webapp", "a/b.txt", "backups/webapp/a/b.txt"),
            ("backups///", "webapp", "a/b.txt", "backups/webapp/a/b.txt"),
            ("x/y",        "w",      "a",       "x/y/w/a"),
        ];
        for (prefix, client, path, want) in cases {
            let prefix = KeyPrefix::parse(prefix).unwrap();
            let client = ClientName::parse(client).unwrap();
            let path = RemotePath::parse(path).unwrap();
            assert_eq!(Key::of_file(&prefix, &client, &path).unwrap().as_str(), want);
        }
    }

    #[test]
    fn a_prefix_that_breaks_a_path_rule_is_refused() {
        for text in ["/", "/a", "//", "a//b", "../a", "a/./b", "a\\b", "a\n"] {
            assert!(KeyPrefix::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_length_limit_is_that_of_the_whole_key() {
        let client = ClientName::parse("web").unwrap();
        let prefix = KeyPrefix::parse("p").unwrap();
        let fits = RemotePath::parse(&"x".repeat(KEY_BYTES_MAX - "p/web/".len())).unwrap();
        let over = RemotePath::parse(&"x".repeat(KEY_BYTES_MAX - "p/web/".len() + 1)).unwrap();

        assert_eq!(Key::of_file(&prefix, &client, &fits).unwrap().as_str().len(), KEY_BYTES_MAX);
        assert_eq!(
            Key::of_file(&prefix, &client, &over),
            Err(PathRule::TooLong { bytes: KEY_BYTES_MAX + 1 })
        );
    }

    proptest! {
        #[test]
        fn no_client_reaches_the_files_of_another(
            one in "[a-z0-9][a-z0-9._-]{0,8}",
            other in "[a-z0-9][a-z0-9._-]{0,8}",
            path in "\\PC{1,24}",
        ) {
            let (one, other) = (ClientName::parse(&one).unwrap(), ClientName::parse(&other).unwrap());
            prop_assume!(one != other);
            if let Ok(path) = RemotePath::parse(&path) {
                let key = Key::of_file(&KeyPrefix::default(), &one, &path).unwrap();
                let mine = format!("{one}/");
                let theirs = format!("{other}/");
                prop_assert!(key.as_str().starts_with(&mine));
                prop_assert!(!key.as_str().starts_with(&theirs));
            }
        }
    }
}
