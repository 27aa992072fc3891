//! The section `report`.

use s3up_cli::config::{ConfigError, Source};
use s3up_core::wire::SUBVOLUMES_MAX;
use s3up_gateway_client::address::{self, AddressError};

use super::raw;
use crate::backup_report::deliver::ReportSettings;

/// Returns the gateway to report to. The file with the key is read when a report is sent.
pub fn report(
    raw: &raw::Report,
    subvolumes: usize,
    source: &Source,
) -> Result<Option<ReportSettings>, ConfigError> {
    let (url, key_file) = match (&raw.url, &raw.key_file) {
        (Some(url), Some(key_file)) => (url, key_file.to_path_buf()),
        (None, None) => return Ok(None),
        (Some(_), None) => {
            let what = "expected `report.key_file` beside it, the file with the client key";
            return Err(source.invalid("report.url", what));
        }
        (None, Some(_)) => {
            let what = "expected `report.url` beside it, the URL of the gateway";
            return Err(source.invalid("report.key_file", what));
        }
    };
    let url = address::parse(url, raw.insecure.unwrap_or(false)).map_err(|err| {
        let advice = match err {
            AddressError::Plaintext => "; to allow that, set report.insecure = true",
            AddressError::UserName => "; the key belongs in report.key_file",
            AddressError::NoUrl { .. }
            | AddressError::Scheme
            | AddressError::NoHost
            | AddressError::Query => "",
        };
        source.invalid("report.url", format_args!("{err}{advice}"))
    })?;
    if subvolumes > SUBVOLUMES_MAX {
        let what = format!(
            "expected at most {SUBVOLUMES_MAX} subvolumes in a report, found {subvolumes}; split the \
             configuration"
        );
        return Err(source.invalid("report.url", what));
    }
    let ca_file = raw.ca_file.as_ref().map(|path| path.to_path_buf());
    Ok(Some(ReportSettings { url, key_file, ca_file }))
}
