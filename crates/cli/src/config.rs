//! One loader for configuration files, YAML and TOML alike, by the file's ending.
//!
//! Text becomes a `tree` of nodes that know their lines (`yaml`, `toml`),
//! `${VAR}` in its strings is replaced from the environment (`expand`), and
//! the tree becomes a `T` (`de`). Every error is one line that names file,
//! line and key. A key that `T` does not have is an error by itself, with the
//! nearest key that it does have.
//!
//! `T` must not use serde's `flatten` (its keys would not be checked) nor enums
//! with data. Not here: what the keys mean; for errors found later,
//! [`Source::wrong`] finds the line of a key.

mod de;
mod error;
mod expand;
mod path;
mod plain;
mod set;
#[cfg(test)]
mod tests;
mod toml;
mod tree;
mod yaml;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use self::error::ConfigError;
use self::error::Wrong;
pub use self::path::{AbsolutePath, RelativePathError};
use self::set::Applied;
pub use self::set::{Setting, SettingError};
use self::tree::Node;

/// A configuration of ten thousand clients has two million bytes; what is
/// longer than this is some other file.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// A value as the file has it, and where its keys stand.
#[derive(Debug)]
pub struct Loaded<T> {
    pub raw: T,
    pub source: Source,
}

/// The file of a value, and the line of each of its keys.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    lines: BTreeMap<String, usize>,
    settings: Vec<Applied>,
}

/// Reads `path` and the environment.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Loaded<T>, ConfigError> {
    load_with(path, &[])
}

/// The same, with keys that are set for this run.
pub fn load_with<T: DeserializeOwned>(
    path: &Path,
    settings: &[Setting],
) -> Result<Loaded<T>, ConfigError> {
    let text = read(path)?;
    parse_with(path, &text, settings, &environment)
}

/// The same from text: `file` decides the format by its ending and is named in
/// errors, `env` looks up a variable.
pub fn parse<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded<T>, ConfigError> {
    parse_with(file, text, &[], env)
}

/// The same, with keys that are set for this run.
pub fn parse_with<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    settings: &[Setting],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded<T>, ConfigError> {
    let located = |wrong: Wrong| wrong.in_file(file);
    let read_tree = Format::of(file).map_err(located)?;
    let mut root = read_tree.tree(text.trim_start_matches('\u{feff}')).map_err(located)?;
    let settings: Vec<_> = settings.iter().map(|setting| setting.apply(&mut root)).collect();
    let source = Source { file: file.to_owned(), lines: tree::lines(&root), settings };
    let placed = |wrong: Wrong| source.placed(wrong.in_file(file));
    expand::expand(&mut root, env).map_err(placed)?;
    let raw = de::value(&root).map_err(placed)?;
    Ok(Loaded { raw, source })
}

impl Source {
    /// An error found after parsing, at a key such as `clients[1].api_key`.
    pub fn wrong(&self, key: &str, what: impl Display) -> ConfigError {
        self.placed(ConfigError::Wrong {
            file: self.file.clone(),
            line: self.line(key),
            key: key.to_owned(),
            what: what.to_string(),
        })
    }

    /// What a setting brought is its fault, and none of the file's.
    fn placed(&self, err: ConfigError) -> ConfigError {
        match err {
            ConfigError::Wrong { key, what, .. } if self.is_set(&key) => {
                ConfigError::Set { key, what }
            }
            err @ (ConfigError::Read { .. }
            | ConfigError::Set { .. }
            | ConfigError::Wrong { .. }) => err,
        }
    }

    fn is_set(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.is_at(key))
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line of `key`, or where it would stand: that of what it is in.
    fn line(&self, key: &str) -> Option<usize> {
        let mut place = key;
        loop {
            if let Some(line) = self.lines.get(place) {
                return Some(*line);
            }
            place = &place[..place.rfind(['.', '['])?];
        }
    }
}

#[derive(Clone, Copy)]
enum Format {
    Yaml,
    Toml,
}

impl Format {
    fn of(file: &Path) -> Result<Format, Wrong> {
        let ending = file.extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("yaml" | "yml") => Ok(Format::Yaml),
            Some("toml") => Ok(Format::Toml),
            Some(_) | None => Err(Wrong::file("expected a name that ends in .yaml, .yml or .toml")),
        }
    }

    fn tree(self, text: &str) -> Result<Node, Wrong> {
        let root = match self {
            Format::Yaml => yaml::tree(text)?,
            Format::Toml => toml::tree(text)?,
        };
        root.ok_or_else(|| Wrong::file("the file is empty"))
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let wrong =
        |what: &dyn Display| ConfigError::Read { file: path.to_owned(), what: what.to_string() };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|err| wrong(&err))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(&format_args!("is longer than {FILE_BYTES_MAX} bytes, the limit")));
    }
    String::from_utf8(bytes).map_err(|err| {
        let good = &err.as_bytes()[..err.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        wrong(&format_args!("line {line} is not UTF-8"))
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
