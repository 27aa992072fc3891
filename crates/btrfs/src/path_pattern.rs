//! Patterns for paths of a backup. One with a slash describes a whole path, where `*` matches no
//! slash; one without describes the last name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};

/// Characters that make a text a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

#[derive(Clone, Debug)]
pub struct PathPattern {
    matcher: GlobMatcher,
    is_of_path: bool,
}

impl PathPattern {
    pub fn parse(text: &str) -> Result<PathPattern, globset::Error> {
        let pattern = text.trim_start_matches('/');
        let is_of_path = pattern.contains('/');
        let glob = GlobBuilder::new(pattern).literal_separator(is_of_path).build()?;
        Ok(PathPattern { matcher: glob.compile_matcher(), is_of_path })
    }

    /// Returns true if a text has a character with a meaning in patterns.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(SPECIAL)
    }

    /// Returns true if a path matches, relative to the subvolume.
    pub fn is_match(&self, path: &[u8]) -> bool {
        let name = match self.is_of_path {
            true => path,
            false => path.rsplit(|byte| *byte == b'/').next().unwrap_or_default(),
        };
        self.matcher.is_match(OsStr::from_bytes(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_with_a_slash_describes_the_path_and_another_one_the_name() {
        #[rustfmt::skip]
        let cases = [
            ("*.jpg",     "photos/2025/a.jpg", true),
            ("*.jpg",     "photos/a.png",      false),
            ("photos/*",  "photos/a.jpg",      true),
            ("/photos/*", "photos/a.jpg",      true),
            ("photos/*",  "photos/2025/a.jpg", false),
            ("photos/**", "photos/2025/a.jpg", true),
            ("2025",      "photos/2025",       true),
        ];
        for (pattern, path, want) in cases {
            let found = PathPattern::parse(pattern).unwrap().is_match(path.as_bytes());
            assert_eq!(found, want, "{pattern} {path}");
        }
        assert!(PathPattern::is_pattern("a*") && !PathPattern::is_pattern("a b.txt"));
    }
}
