//! The freezes as a gateway last read them from its database, in a file on its disk.
//!
//! A gateway that starts while its database does not answer takes them from there: a client that an operator
//! has stopped must not store anything because the database is away. The file has no other use, and counts only
//! until the database answers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use s3up_core::ClientName;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::frozen_clients::{Freeze, FrozenClients};
use crate::clock::Millis;

#[derive(Clone, Debug)]
pub(super) struct FreezesFile(PathBuf);

#[derive(Serialize, Deserialize)]
struct Line {
    client: String,
    since: Millis,
    reason: String,
}

impl FreezesFile {
    pub(super) fn new(path: PathBuf) -> FreezesFile {
        FreezesFile(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the file. Returns `None` if there is none: the database of this gateway never answered.
    pub(super) fn load(&self) -> io::Result<Option<FrozenClients>> {
        let text = match std::fs::read(&self.0) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let lines: Vec<Line> = serde_json::from_slice(&text)?;
        let frozen = lines.into_iter().map(|Line { client, since, reason }| {
            let client = ClientName::parse(&client);
            let client = client.map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err))?;
            Ok((client, Freeze { since, reason }))
        });
        frozen.collect::<io::Result<_>>().map(Some)
    }

    /// Replaces the file: a reader finds the one before or this one.
    pub(super) fn save(&self, frozen: &FrozenClients) -> io::Result<()> {
        let lines = frozen.iter().map(|(client, freeze)| Line {
            client: client.to_string(),
            since: freeze.since,
            reason: freeze.reason.clone(),
        });
        let text = serde_json::to_vec(&lines.collect::<Vec<_>>())?;
        let dir = self.0.parent().unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(dir)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        std::fs::File::open(dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freezes_are_read_as_they_were_saved_and_damage_is_no_absence() {
        let dir = tempfile::tempdir().unwrap();
        let file = FreezesFile::new(dir.path().join("gateway.db.freezes"));
        assert_eq!(file.load().unwrap(), None);
        let web = ClientName::parse("web").unwrap();
        let freeze = Freeze { since: 7, reason: "a \"reason\"".to_owned() };
        let frozen = FrozenClients::from([(web, freeze)]);

        for frozen in [&frozen, &FrozenClients::new(), &frozen] {
            file.save(frozen).unwrap();
            assert_eq!(file.load().unwrap().as_ref(), Some(frozen));
        }

        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        for damaged in
            ["", "[{\"client\":\"web\"", "[{\"client\":\"../x\",\"since\":7,\"reason\":\"\"}]"]
        {
            std::fs::write(file.path(), damaged).unwrap();
            assert!(file.load().is_err(), "{damaged}");
        }
    }
}
