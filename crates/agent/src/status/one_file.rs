//! The state of one file, for `s3up status PATH`.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use serde::Serialize;

use super::{StatusReader, policy};
use crate::database::DbError;
use crate::files::confined_fs::{self, Root};
use crate::files::identity::Identity;
use crate::files::watch::Watch;
use crate::files::writes::Evidence;
use crate::scanning::walk::exclusion;
use crate::states::decide::{State, decide};
use crate::states::version::Look;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    pub local_path: String,
    pub remote_path: Option<String>,
    /// `protected`, `pending`, `baseline`, `excluded`, `problem` or `missing`.
    pub state: &'static str,
    pub reason: Option<String>,
    pub help: Option<&'static str>,
}

impl StatusReader {
    /// Returns the state of the file at an absolute path; `None` if no watch contains it.
    pub async fn file(&self, path: &Path) -> Result<Option<FileStatus>, DbError> {
        let found = self.config.watches.iter().find_map(|watch| {
            let relative = path.strip_prefix(&watch.root).ok()?;
            Some((Arc::new(watch.clone()), relative.to_owned()))
        });
        let Some((watch, relative)) = found else { return Ok(None) };
        let (looked, path) = (watch.clone(), relative.clone());
        let looked = tokio::task::spawn_blocking(move || look(&looked, &path)).await;
        let remote_path = watch.remote_path(&relative);
        let mut status = FileStatus {
            local_path: watch.local_path(&relative),
            remote_path: remote_path.as_ref().ok().map(|path| path.as_str().to_owned()),
            state: "missing",
            reason: None,
            help: None,
        };
        let look = match looked.unwrap_or_else(|_| Looked::Unreadable("panicked".to_owned())) {
            Looked::File(look) => look,
            Looked::Missing => return Ok(Some(status)),
            Looked::Excluded(reason) => {
                (status.state, status.reason) = ("excluded", Some(reason.to_owned()));
                return Ok(Some(status));
            }
            Looked::Unreadable(reason) => {
                (status.state, status.reason) = ("problem", Some(reason));
                return Ok(Some(status));
            }
        };
        let known = self.reader.known(std::slice::from_ref(&status.local_path)).await?;
        let known = known.into_iter().next().unwrap_or_default();
        let state = self.reader.watch_state(&watch.local_prefix()).await?;
        match decide(&look, &remote_path, &known, &policy(&self.config, state.as_ref())) {
            State::Protected => status.state = "protected",
            State::Baseline { .. } => status.state = "baseline",
            State::Pending(reason) => {
                (status.state, status.reason) = ("pending", Some(reason.to_string()));
            }
            State::Problem(problem) => {
                (status.state, status.reason) = ("problem", Some(problem.to_string()));
                status.help = Some(problem.help());
            }
        }
        Ok(Some(status))
    }
}

enum Looked {
    File(Look),
    Missing,
    Excluded(&'static str),
    Unreadable(String),
}

fn look(watch: &Watch, path: &Path) -> Looked {
    let root = match Root::open(&watch.root) {
        Ok(root) => root,
        Err(err) => return Looked::Unreadable(format!("open {:?}: {err}", watch.root)),
    };
    if watch.excludes_beneath(path) {
        return Looked::Excluded("exclude pattern");
    }
    if !watch.recursive && path.components().count() > 1 {
        return Looked::Excluded("the watch is not recursive");
    }
    match root.stat(path) {
        Ok(stat) if confined_fs::file_type(&stat) == FileType::Directory => {
            Looked::Excluded("a directory; s3up status counts the files of its watch")
        }
        Ok(stat) => match exclusion(confined_fs::file_type(&stat)) {
            None => Looked::File(Look {
                identity: Identity::of(&stat),
                filesystem: root.filesystem,
                evidence: Evidence::Seen,
            }),
            Some(exclusion) => Looked::Excluded(exclusion.as_str()),
        },
        Err(err) if confined_fs::is_gone(&err) => Looked::Missing,
        Err(err) if confined_fs::is_refused_type(&err) => Looked::Excluded("symlink"),
        Err(err) => Looked::Unreadable(err.to_string()),
    }
}
