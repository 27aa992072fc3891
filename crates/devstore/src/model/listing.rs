//! Selects one page of a listing by prefix, delimiter, start and maximum length.
//!
//! Pure. Entries come in key order and may repeat a key (versions, uploads). Keys
//! with the same text between the prefix and the next delimiter are rolled up
//! into one common prefix, which counts as one entry.

use std::collections::BTreeMap;
use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// Maximum number of entries per page in S3. A client may only ask for fewer.
pub(crate) const PAGE_MAX: usize = 1000;

/// The last entry of a page. The next page starts after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    Key(String),
    /// The next page starts after every key with this prefix.
    Prefix(String),
}

pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: Option<&'a str>,
    pub(crate) after: Option<Cursor>,
    pub(crate) max: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) prefixes: Vec<String>,
    /// Start of the next page, if there are more entries.
    pub(crate) next: Option<Cursor>,
}

impl Cursor {
    pub(crate) fn to_token(&self) -> String {
        match self {
            Cursor::Key(key) => BASE64.encode(format!("k{key}")),
            Cursor::Prefix(prefix) => BASE64.encode(format!("p{prefix}")),
        }
    }

    pub(crate) fn parse_token(token: &str) -> Option<Cursor> {
        let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
        match text.split_at_checked(1)? {
            ("k", key) => Some(Cursor::Key(key.to_owned())),
            ("p", prefix) => Some(Cursor::Prefix(prefix.to_owned())),
            _ => None,
        }
    }

    /// Parses the marker of an older call: a key, or a common prefix.
    pub(crate) fn of_marker(marker: String, delimiter: Option<&str>) -> Cursor {
        match delimiter {
            Some(delimiter) if marker.ends_with(delimiter) => Cursor::Prefix(marker),
            Some(_) | None => Cursor::Key(marker),
        }
    }

    pub(crate) fn into_marker(self) -> String {
        match self {
            Cursor::Key(text) | Cursor::Prefix(text) => text,
        }
    }
}

impl<T> Page<T> {
    /// Returns true if the next page starts after an entry, and not after a common
    /// prefix.
    pub(crate) fn ends_with_an_entry(&self) -> bool {
        matches!(self.next, Some(Cursor::Key(_)))
    }
}

impl Query<'_> {
    /// Returns the entries from the start of the page on, without visiting those
    /// of earlier pages.
    pub(crate) fn range<'m, T>(
        &self,
        map: &'m BTreeMap<String, T>,
    ) -> impl Iterator<Item = (&'m String, &'m T)> {
        let start = match &self.after {
            Some(Cursor::Key(key)) if key.as_str() >= self.prefix => Bound::Excluded(key.as_str()),
            Some(Cursor::Prefix(prefix)) if prefix.as_str() >= self.prefix => {
                Bound::Included(prefix.as_str())
            }
            Some(_) | None => Bound::Included(self.prefix),
        };
        map.range::<str, _>((start, Bound::Unbounded))
    }

    /// Returns the common prefix that replaces `key` in this listing.
    fn rolled_up<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let at = key[self.prefix.len()..].find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }

    fn is_after(&self, prefix: &str) -> bool {
        matches!(&self.after, Some(Cursor::Prefix(last)) if last == prefix)
    }
}

pub(crate) fn page<'k, T>(
    query: &Query<'_>,
    entries: impl Iterator<Item = (&'k str, T)>,
) -> Page<T> {
    let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), next: None };
    let mut last = None;
    for (key, entry) in entries.take_while(|(key, _)| key.starts_with(query.prefix)) {
        let prefix = query.rolled_up(key);
        if prefix.is_some_and(|p| query.is_after(p) || page.prefixes.last().is_some_and(|l| l == p))
        {
            continue;
        }
        if page.entries.len() + page.prefixes.len() == query.max {
            page.next = last;
            return page;
        }
        match prefix {
            Some(prefix) => {
                page.prefixes.push(prefix.to_owned());
                last = Some(Cursor::Prefix(prefix.to_owned()));
            }
            None => {
                page.entries.push(entry);
                last = Some(Cursor::Key(key.to_owned()));
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 8] = ["a", "a/b", "a/c", "a/d/e", "ab", "b/", "b/x", "c"];

    #[test]
    fn pages_of_any_length_list_each_entry_once() {
        let none: [&str; 0] = [];
        #[rustfmt::skip]
        let cases = [
            // prefix  delimiter  entries                   common prefixes
            ("",       None,      &KEYS[..],                &none[..]),
            ("",       Some("/"), &["a", "ab", "c"],        &["a/", "b/"]),
            ("a",      Some("/"), &["a", "ab"],             &["a/"]),
            ("a/",     Some("/"), &["a/b", "a/c"],          &["a/d/"]),
            ("a/",     None,      &["a/b", "a/c", "a/d/e"], &none),
            ("b/",     Some("/"), &["b/", "b/x"],           &none),
            ("x",      Some("/"), &none,                    &none),
        ];
        for (prefix, delimiter, entries, prefixes) in cases {
            for max in 1..=9 {
                let (got_entries, got_prefixes) = walk(prefix, delimiter, max);
                assert_eq!(got_entries, entries, "{prefix:?} {delimiter:?} by {max}");
                assert_eq!(got_prefixes, prefixes, "{prefix:?} {delimiter:?} by {max}");
            }
        }
    }

    #[test]
    fn a_page_that_ends_with_the_last_entry_has_no_next_page() {
        let map = keys();
        let query = Query { prefix: "", delimiter: None, after: None, max: KEYS.len() };

        assert_eq!(one(&query, &map).next, None);
        assert_ne!(one(&Query { max: KEYS.len() - 1, ..query }, &map).next, None);
    }

    #[test]
    fn a_page_of_length_0_is_empty_and_the_last() {
        let query = Query { prefix: "", delimiter: None, after: None, max: 0 };
        let page = one(&query, &keys());
        assert_eq!((page.entries.len(), page.next), (0, None));
    }

    #[test]
    fn a_token_is_parsed_back_and_any_other_text_is_refused() {
        for cursor in [Cursor::Key("ä/\u{1}".to_owned()), Cursor::Prefix("a/".to_owned())] {
            assert_eq!(Cursor::parse_token(&cursor.to_token()), Some(cursor));
        }
        for token in ["", "!", "a", &BASE64.encode("x")] {
            assert_eq!(Cursor::parse_token(token), None, "{token:?}");
        }
    }

    /// Reads all pages.
    fn walk(prefix: &str, delimiter: Option<&str>, max: usize) -> (Vec<String>, Vec<String>) {
        let map = keys();
        let (mut entries, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = one(&Query { prefix, delimiter, after, max }, &map);
            assert!(page.entries.len() + page.prefixes.len() <= max);
            entries.extend(page.entries);
            prefixes.extend(page.prefixes);
            after = page.next;
            if after.is_none() {
                return (entries, prefixes);
            }
        }
    }

    fn one(query: &Query<'_>, map: &BTreeMap<String, ()>) -> Page<String> {
        page(query, query.range(map).map(|(key, ())| (key.as_str(), key.clone())))
    }

    fn keys() -> BTreeMap<String, ()> {
        KEYS.iter().map(|key| ((*key).to_owned(), ())).collect()
    }
}
