//! Asks the gateway for its files, one page at a time.

use jiff::Timestamp;
use s3up_core::wire::{Listing, Versions};

use super::at_time::FilesAt;
use super::remote_file::{InvalidEntry, RemoteFile};
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;

/// The moment of which the files are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Newest,
    At(Timestamp),
}

/// The files below a prefix, in the order of their paths.
#[derive(Debug)]
pub struct Pages {
    gateway: GatewayClient,
    prefix: String,
    source: Source,
    position: Position,
}

#[derive(Debug)]
enum Source {
    Newest,
    At(FilesAt),
}

#[derive(Debug)]
enum Position {
    First,
    After(String),
    End,
}

impl Pages {
    /// `prefix` is a directory; an empty one stands for all files.
    pub fn new(gateway: &GatewayClient, prefix: &str, moment: Moment) -> Pages {
        let source = match moment {
            Moment::Newest => Source::Newest,
            Moment::At(at) => Source::At(FilesAt::new(at)),
        };
        let (gateway, prefix) = (gateway.clone(), prefix.to_owned());
        Pages { gateway, prefix, source, position: Position::First }
    }

    /// Returns the next files, at most about a thousand; `None` after the last. A page may be empty.
    pub async fn next(&mut self) -> Result<Option<Vec<RemoteFile>>, GatewayError> {
        let cursor = match &self.position {
            Position::First => None,
            Position::After(cursor) => Some(cursor.clone()),
            Position::End => return Ok(None),
        };
        let (files, next) = match &mut self.source {
            Source::Newest => {
                let page = self.gateway.list(&self.prefix, cursor.as_deref()).await?;
                of_listing(page)
            }
            Source::At(state) => {
                let page = self.gateway.versions_below(&self.prefix, cursor.as_deref()).await?;
                of_versions(state, page)
            }
        }
        .map_err(|err| GatewayError::InvalidAnswer { what: err.to_string() })?;
        self.position = next.map_or(Position::End, Position::After);
        Ok(Some(files))
    }
}

type Page = (Vec<RemoteFile>, Option<String>);

fn of_listing(page: Listing) -> Result<Page, InvalidEntry> {
    let files = page.files.into_iter().map(RemoteFile::of_listed).collect::<Result<_, _>>()?;
    Ok((files, page.cursor))
}

fn of_versions(state: &mut FilesAt, page: Versions) -> Result<Page, InvalidEntry> {
    let mut files = Vec::new();
    for version in page.versions {
        files.extend(state.add(version)?);
    }
    if page.cursor.is_none() {
        files.extend(state.finish()?);
    }
    Ok((files, page.cursor))
}
