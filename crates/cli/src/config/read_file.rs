//! Reads a configuration file as text, up to a limit.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::ConfigError;

/// Maximum length of a configuration file. A configuration of ten thousand
/// clients has two million bytes, so a longer file is not a configuration.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: &dyn Display| ConfigError::Read {
        file: path.to_owned(),
        reason: reason.to_string(),
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|err| unreadable(&err))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format_args!(
            "expected at most {FILE_BYTES_MAX} bytes, found more"
        )));
    }
    String::from_utf8(bytes).map_err(|err| {
        let valid = &err.as_bytes()[..err.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        unreadable(&format_args!("line {line} is not valid UTF-8"))
    })
}
