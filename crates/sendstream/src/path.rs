//! Checks paths in a stream: they must stay inside the subvolume.

use std::fmt;

/// A rule for paths. Its `Display` form says what the rule expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPathRule {
    NotEmpty,
    NoNul,
    Relative,
    /// No segment is empty, `.` or `..`. The kernel writes none of them: `..`
    /// leaves the subvolume, and the others give one file two names.
    PlainSegments,
    /// The name of a subvolume is a single segment.
    SingleName,
}

impl fmt::Display for StreamPathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamPathRule::NotEmpty => "at least one byte",
            StreamPathRule::NoNul => "no NUL byte",
            StreamPathRule::Relative => "a relative path",
            StreamPathRule::PlainSegments => "no segment that is empty, `.` or `..`",
            StreamPathRule::SingleName => "a single name without `/`",
        })
    }
}

/// Checks any text, such as the name of an extended attribute or the target of
/// a symlink.
pub(crate) fn check_text(text: &[u8]) -> Result<(), StreamPathRule> {
    match text {
        [] => Err(StreamPathRule::NotEmpty),
        _ if text.contains(&0) => Err(StreamPathRule::NoNul),
        _ => Ok(()),
    }
}

/// Checks a path inside the subvolume.
pub(crate) fn check_path(path: &[u8]) -> Result<(), StreamPathRule> {
    check_text(path)?;
    if path.starts_with(b"/") {
        return Err(StreamPathRule::Relative);
    }
    let is_wrong = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    match path.split(|byte| *byte == b'/').any(is_wrong) {
        true => Err(StreamPathRule::PlainSegments),
        false => Ok(()),
    }
}

/// Checks the name of the subvolume itself.
pub(crate) fn check_name(name: &[u8]) -> Result<(), StreamPathRule> {
    check_path(name)?;
    match name.contains(&b'/') {
        true => Err(StreamPathRule::SingleName),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_paths_and_names_are_refused() {
        use StreamPathRule::{NoNul, NotEmpty, PlainSegments, Relative, SingleName};
        #[rustfmt::skip]
        let cases: [(&[u8], _, _, _); 17] = [
            // path            as text         as a path            as a name
            (b"a",             Ok(()),         Ok(()),              Ok(())),
            (b"\xff\n \\",     Ok(()),         Ok(()),              Ok(())),
            (b"...",           Ok(()),         Ok(()),              Ok(())),
            (b"..a",           Ok(()),         Ok(()),              Ok(())),
            (b"a/b/c",         Ok(()),         Ok(()),              Err(SingleName)),
            (b"a/..b/.c",      Ok(()),         Ok(()),              Err(SingleName)),
            (b"",              Err(NotEmpty),  Err(NotEmpty),       Err(NotEmpty)),
            (b"a\0",           Err(NoNul),     Err(NoNul),          Err(NoNul)),
            (b"/",             Ok(()),         Err(Relative),       Err(Relative)),
            (b"/etc/passwd",   Ok(()),         Err(Relative),       Err(Relative)),
            (b".",             Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
            (b"..",            Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
            (b"../a",          Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
            (b"a/../../b",     Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
            (b"a/..",          Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
            (b"a//b",          Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
            (b"a/",            Ok(()),         Err(PlainSegments),  Err(PlainSegments)),
        ];
        for (path, text, inside, name) in cases {
            let shown = String::from_utf8_lossy(path);
            assert_eq!(check_text(path), text, "{shown:?}");
            assert_eq!(check_path(path), inside, "{shown:?}");
            assert_eq!(check_name(path), name, "{shown:?}");
        }
    }
}
