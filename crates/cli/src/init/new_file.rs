//! Writes a file that did not exist, for its owner only.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const OWNER_ONLY: u32 = 0o600;

#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    #[error(
        "write {}: the file exists, and init overwrites nothing; choose another file with --config, or \
         move this one away", path.display()
    )]
    Exists { path: PathBuf },
    #[error(
        "write {}: its directory does not exist; create it with `install -d -m 700 {}`",
        path.display(),
        path.parent().unwrap_or(Path::new(".")).display()
    )]
    NoDir { path: PathBuf },
    #[error("write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Writes a new file with mode 0600, and syncs it. A file that exists is never touched.
pub fn write_new_file(path: &Path, text: &str) -> Result<(), NewFileError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == ErrorKind::AlreadyExists {
            return NewFileError::Exists { path };
        }
        if source.kind() == ErrorKind::NotFound {
            return NewFileError::NoDir { path };
        }
        NewFileError::Io { path, source }
    };
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(OWNER_ONLY).open(path).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|source| NewFileError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_is_private_and_an_old_one_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new.yaml");

        write_new_file(&path, "one").unwrap();
        let again = write_new_file(&path, "two").unwrap_err().to_string();
        let nowhere = write_new_file(&directory.path().join("no/new.yaml"), "x").unwrap_err();

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert!(again.contains("the file exists"), "{again}");
        assert!(nowhere.to_string().contains("its directory does not exist"), "{nowhere}");
    }
}
