//! Lists the subvolumes inside a subvolume, which `btrfs send` leaves out.

use std::ffi::OsStr;
use std::path::Path;

use crate::tool::{Btrfs, ToolError};

/// A subvolume directly inside another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    pub id: u64,
    /// Path from the top of the filesystem, which may not be mounted.
    pub path: String,
}

pub async fn list(btrfs: &Btrfs, path: &Path) -> Result<Vec<Nested>, ToolError> {
    let arguments = [OsStr::new("subvolume"), OsStr::new("list"), OsStr::new("-o"), path.as_ref()];
    Ok(parse(&btrfs.run(&arguments).await?))
}

/// Returns the id of the subvolume that contains `path`.
pub async fn id_of(btrfs: &Btrfs, path: &Path) -> Result<Option<u64>, ToolError> {
    let arguments = [OsStr::new("inspect-internal"), OsStr::new("rootid"), path.as_ref()];
    Ok(btrfs.run(&arguments).await?.trim().parse().ok())
}

/// Parses lines like `ID 258 gen 9 top level 257 path data/nested`.
fn parse(listed: &str) -> Vec<Nested> {
    let nested = |line: &str| {
        let (fields, path) = line.split_once(" path ")?;
        let id = fields.strip_prefix("ID ")?.split(' ').next()?.parse().ok()?;
        Some(Nested { id, path: path.to_owned() })
    };
    listed.lines().filter_map(nested).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_paths_are_read() {
        let text = "ID 258 gen 9 top level 257 path data/nested\nID 259 gen 9 top level 257 path data/a path b\n";
        let nested = |id, path: &str| Nested { id, path: path.to_owned() };
        assert_eq!(parse(text), [nested(258, "data/nested"), nested(259, "data/a path b")]);
        assert!(parse("").is_empty());
    }
}
