//! The storage classes of S3.

use s3up_cli::config::{ConfigError, Source};

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html>
const CLASSES: [&str; 9] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
];

pub fn is_storage_class(class: &str) -> bool {
    CLASSES.contains(&class)
}

/// Returns the class that a key sets, or else the default.
pub(super) fn class_of(
    key: &str,
    class: &Option<String>,
    default: &str,
    source: &Source,
) -> Result<String, ConfigError> {
    let class = class.as_deref().unwrap_or(default);
    if !is_storage_class(class) {
        let what = format!("expected one of {}, found {class:?}", CLASSES.join(", "));
        return Err(source.invalid(key, what));
    }
    Ok(class.to_owned())
}
