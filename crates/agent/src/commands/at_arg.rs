//! The argument `--at TIME`.

use jiff::tz::TimeZone;
use s3up_cli::{Exit, at_time};

use crate::remote_files::pages::Moment;

/// Parses the value of `--at`. Without one, the newest files are meant.
pub(super) fn moment(at: Option<&str>) -> anyhow::Result<Moment> {
    let Some(text) = at else { return Ok(Moment::Newest) };
    let at = at_time::parse(text, &TimeZone::system())
        .map_err(|err| Exit::Usage.with(anyhow::Error::new(err).context("--at")))?;
    Ok(Moment::At(at))
}
