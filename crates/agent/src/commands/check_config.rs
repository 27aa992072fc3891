//! `s3up check-config`: prints the effective configuration, with secrets masked.

use s3up_cli::Exit;

use super::output_args::OutputArgs;
use crate::config::Raw;

pub(super) fn run(raw: &Raw, output: OutputArgs) -> anyhow::Result<Exit> {
    output.print(raw, || raw.to_yaml())?;
    Ok(Exit::Done)
}
