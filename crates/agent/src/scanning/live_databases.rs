//! Recognises files of databases by their names.
//!
//! A program that runs writes such a file in its own order, over several files. Each of them is
//! stored whole, and together they may still be no database. Only the program itself can dump one.
//! Pure.

use std::ffi::OsStr;
use std::path::Path;

/// Names of files of databases.
const NAMES: [&str; 3] = ["ibdata1", "PG_VERSION", "data.mdb"];
/// Endings of names of such files.
const ENDINGS: [&str; 9] = [
    ".sqlite",
    ".sqlite3",
    ".sqlite-wal",
    ".sqlite3-wal",
    ".db-wal",
    ".ibd",
    ".myd",
    ".frm",
    ".mdf",
];

/// Files of one watch that seem to belong to databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveDatabases {
    pub files: u64,
    /// `local_path` of the first one.
    pub example: Option<String>,
}

impl LiveDatabases {
    pub(super) fn add(&mut self, local_path: impl FnOnce() -> String) {
        self.files += 1;
        self.example.get_or_insert_with(local_path);
    }
}

/// Returns true if the name is that of a file of a database.
pub(super) fn is_database_file(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return false };
    let lower = name.to_ascii_lowercase();
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_the_names_of_its_files() {
        #[rustfmt::skip]
        let cases = [
            ("app/cache.sqlite",       true),
            ("app/users.sqlite3",      true),
            ("app/users.sqlite3-wal",  true),
            ("app/app.db-wal",         true),
            ("mysql/ibdata1",          true),
            ("mysql/shop/orders.ibd",  true),
            ("mysql/shop/old.MYD",     true),
            ("pg/16/main/PG_VERSION",  true),
            ("ldap/data.mdb",          true),
            ("thumbs.db",              false),
            ("report.mdb.pdf",         false),
            ("sqlite",                 false),
            ("notes.txt",              false),
        ];
        for (path, want) in cases {
            assert_eq!(is_database_file(Path::new(path)), want, "{path}");
        }
    }
}
