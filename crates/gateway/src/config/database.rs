//! The sections `database` and `activity`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use s3up_cli::config::{ConfigError, Source};

use super::raw::Raw;
use crate::database::{DatabaseSettings, Location};

/// Default of `database.path`.
pub const PATH: &str = "/var/lib/s3up-server/gateway.db";
/// Added to the name of the database, for the file with the frozen clients.
const FREEZES_SUFFIX: &str = ".freezes";
const KEEP_DAYS: u32 = 400;
/// A hundred years; a larger number is a mistake.
const KEEP_DAYS_MAX: u32 = 36_525;
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

pub(super) fn settings(raw: &Raw, source: &Source) -> Result<DatabaseSettings, ConfigError> {
    let keep_days = raw.activity.keep_days.unwrap_or(KEEP_DAYS);
    if !(1..=KEEP_DAYS_MAX).contains(&keep_days) {
        let what = format!("expected 1 to {KEEP_DAYS_MAX}, found {keep_days}");
        return Err(source.invalid("activity.keep_days", what));
    }
    let location = location(raw, source)?;
    let freezes_file = match &location {
        Location::Sqlite(path) => Some(beside(path)),
        Location::Postgres(_) => None,
    };
    Ok(DatabaseSettings { location, keep_days, freezes_file })
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(FREEZES_SUFFIX);
    name.into()
}

impl DatabaseSettings {
    /// Adds what needs a directory for the state of the gateway, as systemd names it.
    pub(super) fn with_state_dir(mut self, dirs: Option<OsString>) -> DatabaseSettings {
        let first = dirs.as_deref().and_then(|dirs| std::env::split_paths(dirs).next());
        let dir = first.filter(|dir| dir.is_absolute());
        self.freezes_file =
            self.freezes_file.or_else(|| Some(dir?.join(FREEZES_SUFFIX.trim_start_matches('.'))));
        self
    }
}

fn location(raw: &Raw, source: &Source) -> Result<Location, ConfigError> {
    let Some(url) = &raw.database.url else {
        let path = raw.database.path.as_deref().map_or_else(|| PathBuf::from(PATH), PathBuf::from);
        if path.to_str().is_none() {
            return Err(source.invalid("database.path", "expected a path in UTF-8"));
        }
        return Ok(Location::Sqlite(path));
    };
    if raw.database.path.is_some() {
        let what = "expected either `database.path` or `database.url`, found both";
        return Err(source.invalid("database.url", what));
    }
    // The URL itself is not in the message: it may contain a password.
    if !SCHEMES.iter().any(|scheme| url.expose().starts_with(scheme)) {
        return Err(source.invalid("database.url", "expected postgresql://USER@HOST/DATABASE"));
    }
    Ok(Location::Postgres(url.clone()))
}
