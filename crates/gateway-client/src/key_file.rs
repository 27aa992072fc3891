//! Reads a client key from a file, so that it is neither an argument nor in a configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use s3up_cli::Secret;

/// Maximum length of a file with a key. A key has some dozens of bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Returns the content of the file without white space around it.
pub fn read_key(file: &Path) -> io::Result<Secret> {
    let mut text = String::new();
    File::open(file)?.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim().to_owned()))
}
