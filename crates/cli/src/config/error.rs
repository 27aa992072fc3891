//! Errors of a configuration file and their locations.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde::de::{Error, Expected, Unexpected};

use crate::one_line::one_line;

/// An error in a configuration. Its message is always one line, such as
/// `server.yaml:12: clients[1].api_key: expected a string (put it in quotes)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Read { file: PathBuf, reason: String },
    /// A key that was set on the command line is invalid.
    Setting { key: String, reason: String },
    /// The file is invalid. There is no line if the whole file is, and the key
    /// is empty if its syntax is.
    Invalid { file: PathBuf, line: Option<usize>, key: String, reason: String },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Read { file, reason } => {
                write!(f, "read {}: {}", one_line(&file.to_string_lossy()), one_line(reason))
            }
            ConfigError::Setting { key, reason } => {
                write!(f, "--set {}: {}", one_line(key), one_line(reason))
            }
            ConfigError::Invalid { file, line, key, reason } => {
                f.write_str(&one_line(&file.to_string_lossy()))?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                if !key.is_empty() {
                    write!(f, ": {}", one_line(key))?;
                }
                write!(f, ": {}", one_line(reason))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// An error without the name of the file. serde raises errors before their
/// location is known; [`Invalid::at`] adds it later.
#[derive(Debug)]
pub(super) struct Invalid {
    reason: String,
    /// The required key that the mapping at `location` does not contain.
    missing: Option<&'static str>,
    location: Option<Location>,
}

#[derive(Debug)]
struct Location {
    line: Option<usize>,
    key: String,
}

impl Invalid {
    /// Returns an error about the whole file.
    pub(super) fn file(reason: impl Display) -> Invalid {
        Invalid::new(None, String::new(), reason)
    }

    /// Returns an error about the syntax at `line`.
    pub(super) fn line(line: usize, reason: impl Display) -> Invalid {
        Invalid::new(Some(line), String::new(), reason)
    }

    pub(super) fn key(line: usize, key: String, reason: impl Display) -> Invalid {
        Invalid::new(Some(line), key, reason)
    }

    fn new(line: Option<usize>, key: String, reason: impl Display) -> Invalid {
        let location = Some(Location { line, key });
        Invalid { reason: reason.to_string(), missing: None, location }
    }

    /// Adds the location, unless an inner node has already done so.
    pub(super) fn at(mut self, line: usize, key: &dyn Display) -> Invalid {
        if self.location.is_none() {
            let mut key = key.to_string();
            if let Some(name) = self.missing {
                key.push_str(if key.is_empty() { "" } else { "." });
                key.push_str(name);
            }
            self.location = Some(Location { line: Some(line), key });
        }
        self
    }

    pub(super) fn with_hint(mut self, hint: &str) -> Invalid {
        self.reason.push_str(hint);
        self
    }

    pub(super) fn in_file(self, file: &Path) -> ConfigError {
        let location = self.location.unwrap_or(Location { line: None, key: String::new() });
        ConfigError::Invalid {
            file: file.to_owned(),
            line: location.line,
            key: location.key,
            reason: self.reason,
        }
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Invalid {}

impl Error for Invalid {
    fn custom<T: Display>(reason: T) -> Invalid {
        Invalid { reason: reason.to_string(), missing: None, location: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Invalid {
        Invalid::custom(format_args!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Invalid {
        Invalid::invalid_type(found, expected)
    }

    fn missing_field(name: &'static str) -> Invalid {
        let invalid = Invalid::custom("expected a value for this required key, found none");
        Invalid { missing: Some(name), ..invalid }
    }
}
