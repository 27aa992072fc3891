//! Which paths a stream may name: those that stay inside the subvolume.

use std::fmt;

/// A rule that a path breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRule {
    Empty,
    Nul,
    Absolute,
    /// A segment is empty, `.` or `..`. The kernel writes none of them; `..`
    /// leaves the subvolume, the others give one file two names.
    Segment,
    /// The name of a subvolume is a single segment.
    Name,
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathRule::Empty => "it is empty",
            PathRule::Nul => "it contains a NUL byte",
            PathRule::Absolute => "it is absolute",
            PathRule::Segment => "it has a segment that is empty, `.` or `..`",
            PathRule::Name => "it is not a single name",
        })
    }
}

/// For any text: names of extended attributes, targets of symlinks.
pub(crate) fn check_text(text: &[u8]) -> Result<(), PathRule> {
    match text {
        [] => Err(PathRule::Empty),
        _ if text.contains(&0) => Err(PathRule::Nul),
        _ => Ok(()),
    }
}

/// For a path inside the subvolume.
pub(crate) fn check_path(path: &[u8]) -> Result<(), PathRule> {
    check_text(path)?;
    if path.starts_with(b"/") {
        return Err(PathRule::Absolute);
    }
    let wrong = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    match path.split(|byte| *byte == b'/').any(wrong) {
        true => Err(PathRule::Segment),
        false => Ok(()),
    }
}

/// For the name of the subvolume itself.
pub(crate) fn check_name(name: &[u8]) -> Result<(), PathRule> {
    check_path(name)?;
    match name.contains(&b'/') {
        true => Err(PathRule::Name),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        use PathRule::{Absolute, Empty, Name, Nul, Segment};
        #[rustfmt::skip]
        let cases: [(&[u8], _, _, _); 17] = [
            //                as text        as a path       as a name
            (b"a",            Ok(()),        Ok(()),         Ok(())),
            (b"\xff\n \\",    Ok(()),        Ok(()),         Ok(())),
            (b"...",          Ok(()),        Ok(()),         Ok(())),
            (b"..a",          Ok(()),        Ok(()),         Ok(())),
            (b"a/b/c",        Ok(()),        Ok(()),         Err(Name)),
            (b"a/..b/.c",     Ok(()),        Ok(()),         Err(Name)),
            (b"",             Err(Empty),    Err(Empty),     Err(Empty)),
            (b"a\0",          Err(Nul),      Err(Nul),       Err(Nul)),
            (b"/",            Ok(()),        Err(Absolute),  Err(Absolute)),
            (b"/etc/passwd",  Ok(()),        Err(Absolute),  Err(Absolute)),
            (b".",            Ok(()),        Err(Segment),   Err(Segment)),
            (b"..",           Ok(()),        Err(Segment),   Err(Segment)),
            (b"../a",         Ok(()),        Err(Segment),   Err(Segment)),
            (b"a/../../b",    Ok(()),        Err(Segment),   Err(Segment)),
            (b"a/..",         Ok(()),        Err(Segment),   Err(Segment)),
            (b"a//b",         Ok(()),        Err(Segment),   Err(Segment)),
            (b"a/",           Ok(()),        Err(Segment),   Err(Segment)),
        ];
        for (path, text, inside, name) in cases {
            let shown = String::from_utf8_lossy(path);
            assert_eq!(check_text(path), text, "{shown:?}");
            assert_eq!(check_path(path), inside, "{shown:?}");
            assert_eq!(check_name(path), name, "{shown:?}");
        }
    }
}
