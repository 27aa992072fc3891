//! What is wrong with a configuration file, and where.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde::de::{Error, Expected, Unexpected};

use crate::one_line::one_line;

/// A configuration that cannot be used. Always one line:
/// `server.yaml:12: clients[1].api_key: expected a string (put it in quotes)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    Read {
        file: PathBuf,
        what: String,
    },
    /// Of a key that was set on the command line.
    Set {
        key: String,
        what: String,
    },
    /// Without a line where the whole file is wrong, without a key (empty)
    /// where its syntax is.
    Wrong {
        file: PathBuf,
        line: Option<usize>,
        key: String,
        what: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Read { file, what } => {
                write!(f, "read {}: {}", one_line(&file.to_string_lossy()), one_line(what))
            }
            ConfigError::Set { key, what } => {
                write!(f, "--set {}: {}", one_line(key), one_line(what))
            }
            ConfigError::Wrong { file, line, key, what } => {
                f.write_str(&one_line(&file.to_string_lossy()))?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                if !key.is_empty() {
                    write!(f, ": {}", one_line(key))?;
                }
                write!(f, ": {}", one_line(what))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The same while the file's name is not at hand, and the place maybe not yet.
#[derive(Debug)]
pub(super) struct Wrong {
    what: String,
    /// A key that should be in the mapping at `place`.
    missing: Option<&'static str>,
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    line: Option<usize>,
    key: String,
}

impl Wrong {
    /// An error of the file as a whole.
    pub(super) fn file(what: impl Display) -> Wrong {
        Wrong::placed(None, String::new(), what)
    }

    /// An error of syntax.
    pub(super) fn line(line: usize, what: impl Display) -> Wrong {
        Wrong::placed(Some(line), String::new(), what)
    }

    pub(super) fn key(line: usize, key: String, what: impl Display) -> Wrong {
        Wrong::placed(Some(line), key, what)
    }

    fn placed(line: Option<usize>, key: String, what: impl Display) -> Wrong {
        Wrong { what: what.to_string(), missing: None, place: Some(Place { line, key }) }
    }

    /// Adds the place, unless something further inside has done so.
    pub(super) fn at(mut self, line: usize, key: &dyn Display) -> Wrong {
        if self.place.is_none() {
            let mut key = key.to_string();
            if let Some(name) = self.missing {
                key.push_str(if key.is_empty() { "" } else { "." });
                key.push_str(name);
            }
            self.place = Some(Place { line: Some(line), key });
        }
        self
    }

    pub(super) fn with_hint(mut self, hint: &str) -> Wrong {
        self.what.push_str(hint);
        self
    }

    pub(super) fn in_file(self, file: &Path) -> ConfigError {
        let place = self.place.unwrap_or(Place { line: None, key: String::new() });
        ConfigError::Wrong {
            file: file.to_owned(),
            line: place.line,
            key: place.key,
            what: self.what,
        }
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: Display>(what: T) -> Wrong {
        Wrong { what: what.to_string(), missing: None, place: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Wrong {
        Wrong::custom(format_args!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Wrong {
        Wrong::invalid_type(found, expected)
    }

    fn missing_field(name: &'static str) -> Wrong {
        let mut wrong = Wrong::custom("this key is required, and missing");
        wrong.missing = Some(name);
        wrong
    }
}
