//! The mode of a file that holds secrets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The permission bits of users that are neither the owner nor in the group: read
/// and write.
const OTHERS_READ_OR_WRITE: u32 = 0o006;

/// Returns true if every user of the host can read or change `file`. A file that
/// cannot be examined is not reported here, because reading it fails as well.
pub fn is_open_to_all_users(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| is_open_mode(metadata.permissions().mode()))
}

fn is_open_mode(mode: u32) -> bool {
    mode & OTHERS_READ_OR_WRITE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_open_if_others_may_read_or_change_it() {
        #[rustfmt::skip]
        let cases = [
            (0o600, false), (0o640, false), (0o660, false), (0o661, false),
            (0o644, true),  (0o602, true),  (0o666, true),
        ];
        for (mode, want) in cases {
            assert_eq!(is_open_mode(0o100_000 | mode), want, "{mode:o}");
        }
    }
}
