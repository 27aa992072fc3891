//! The name of a hidden directory of ours beside a subvolume.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use s3up_core::Sha256Digest;

/// Maximum length of the target's name: with dot and suffix it fits into the 255 bytes of a file
/// name.
const TARGET_NAME_BYTES_MAX: usize = 200;

/// Returns the path `.NAME` plus `suffix` beside the target. A long name is replaced by its
/// digest.
pub fn dir_for(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let mut directory = OsString::from(".");
    if name.len() <= TARGET_NAME_BYTES_MAX {
        directory.push(name);
    } else {
        directory.push(Sha256Digest::of(name.as_encoded_bytes()).to_string());
    }
    directory.push(suffix);
    target.with_file_name(directory)
}
