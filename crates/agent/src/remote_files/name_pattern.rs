//! A glob on remote paths, as `s3up find` takes it.
//!
//! A pattern without a slash is compared with the name of each file, one with a slash with the whole
//! path. `*` and `?` match no slash, `**` matches any number of directories. Pure.

use globset::{Glob, GlobBuilder, GlobMatcher};
use s3up_core::RemotePath;

#[derive(Clone, Debug)]
pub struct NamePattern {
    matcher: GlobMatcher,
    subject: Subject,
    /// Directory in which all matches are.
    prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Name,
    Path,
}

#[derive(Debug, thiserror::Error)]
#[error("parse the pattern {pattern:?}")]
pub struct InvalidPattern {
    pattern: String,
    source: globset::Error,
}

impl NamePattern {
    pub fn parse(text: &str) -> Result<NamePattern, InvalidPattern> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let glob: Glob =
            glob.map_err(|source| InvalidPattern { pattern: text.to_owned(), source })?;
        let subject = if text.contains('/') { Subject::Path } else { Subject::Name };
        Ok(NamePattern {
            matcher: glob.compile_matcher(),
            subject,
            prefix: literal_directory(text),
        })
    }

    pub fn matches(&self, path: &RemotePath) -> bool {
        match self.subject {
            Subject::Name => self.matcher.is_match(path.file_name()),
            Subject::Path => self.matcher.is_match(path.as_str()),
        }
    }

    /// Returns the directory that has to be listed; an empty one stands for all files.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Returns the directories at the start of a pattern that have no special character.
fn literal_directory(pattern: &str) -> String {
    let segments: Vec<&str> = pattern.split('/').collect();
    let (_, directories) = segments.split_last().unwrap_or((&"", &[]));
    let is_literal = |segment: &&&str| !segment.contains(['*', '?', '[', '{', '\\']);
    let literal: Vec<&str> = directories.iter().take_while(is_literal).copied().collect();
    literal.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_names_or_whole_paths() {
        #[rustfmt::skip]
        let cases = [
            // pattern         listed    path              matches
            ("*.jpg",          "",       "up/2026/a.jpg",  true),
            ("*.jpg",          "",       "up/a.jpg.txt",   false),
            ("a?.txt",         "",       "ab.txt",         true),
            ("up/*.jpg",       "up",     "up/a.jpg",       true),
            ("up/*.jpg",       "up",     "up/2026/a.jpg",  false),
            ("up/**/*.jpg",    "up",     "up/2026/a.jpg",  true),
            ("up/**/*.jpg",    "up",     "up/a.jpg",       true),
            ("up/20*/a.jpg",   "up",     "up/2026/a.jpg",  true),
            ("*/a.jpg",        "",       "up/a.jpg",       true),
            ("{a,b}.txt",      "",       "x/b.txt",        true),
            ("[ab].txt",       "",       "x/c.txt",        false),
            ("up/a.jpg",       "up",     "up/a.jpg",       true),
            ("A.JPG",          "",       "up/a.jpg",       false),
        ];
        for (pattern, listed, path, want) in cases {
            let parsed = NamePattern::parse(pattern).unwrap();
            assert_eq!(parsed.prefix(), listed, "{pattern}");
            let path = RemotePath::parse(path).unwrap();
            assert_eq!(parsed.matches(&path), want, "{pattern} {path}");
        }
    }

    #[test]
    fn a_broken_pattern_is_an_error_that_quotes_it() {
        let err = NamePattern::parse("a[").unwrap_err().to_string();
        assert_eq!(err, "parse the pattern \"a[\"");
    }
}
