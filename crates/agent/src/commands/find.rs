//! `s3up find`: lists the files whose name matches a pattern.

use anyhow::Context;
use s3up_cli::Exit;

use super::file_lines::{FileLines, LineFormat};
use super::gateway_args::GatewayArgs;
use super::output::OutputReader;
use crate::gateway::client::GatewayClient;
use crate::remote_files::name_pattern::NamePattern;
use crate::remote_files::pages::{Moment, Pages};

pub(super) const EXAMPLES: &str = "\
A pattern with a slash is compared with the whole remote path, one without with
the name of the file. * and ? match no slash, ** matches any directories. Put
the pattern in quotes.

Exit codes: 0 a file was found, 1 none was.

Examples:
  s3up find '*.pdf'

  s3up find 'uploads/2026/**/invoice-*.pdf' --json";

#[derive(Clone, Debug, clap::Args)]
pub struct FindArgs {
    /// Pattern, as in '*.jpg'
    pattern: String,
    /// Print JSON
    #[arg(long, help_heading = super::headings::OUTPUT)]
    json: bool,
    #[command(flatten)]
    pub(super) gateway: GatewayArgs,
}

pub(super) async fn run(gateway: GatewayClient, args: &FindArgs) -> anyhow::Result<Exit> {
    let pattern = NamePattern::parse(&args.pattern).map_err(|err| Exit::Usage.with(err))?;
    let format = if args.json { LineFormat::Json } else { LineFormat::Table };
    let mut lines = FileLines::new(format);
    let mut pages = Pages::new(&gateway, pattern.prefix(), Moment::Newest);
    while let Some(page) = pages.next().await.with_context(|| format!("find {:?}", args.pattern))? {
        for file in page.iter().filter(|file| pattern.matches(&file.path)) {
            if lines.file(file)? == OutputReader::Closed {
                return Ok(Exit::Done);
            }
        }
    }
    let exit = if lines.files > 0 { Exit::Done } else { Exit::Failed };
    lines.finish()?;
    Ok(exit)
}
