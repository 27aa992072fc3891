//! `s3up check-config`: prints the effective configuration, with secrets masked.

use s3up_cli::Exit;

use super::show;
use crate::config::Raw;

pub(super) fn run(raw: &Raw) -> anyhow::Result<Exit> {
    show::print(&raw.to_yaml())?;
    Ok(Exit::Done)
}
