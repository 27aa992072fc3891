//! The loader for configuration files in YAML and TOML.
//!
//! The ending of the file name decides the format. The text is parsed into a
//! `tree` of nodes with line numbers (`yaml`, `toml`). Settings from the command
//! line are applied (`setting`), `${VAR}` in strings is replaced from the
//! environment (`expand`), and the tree is deserialized into a `T`
//! (`deserialize`). Every error is one line that names file, line and key, so
//! that it can be corrected without a search. A key that `T` does not have is an
//! error that suggests the nearest known key.
//!
//! `T` must not use serde's `flatten` (its keys would not be checked) nor enums
//! with data. Not here: the meaning of the keys. [`Source::invalid`] makes an
//! error for a value that turns out to be invalid later.

mod absolute_path;
mod deserialize;
mod env_file;
mod error;
mod expand;
mod plain_scalar;
mod read_file;
mod setting;
#[cfg(test)]
mod tests;
mod toml;
mod tree;
mod yaml;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::secret::Secret;

pub use self::absolute_path::{AbsolutePath, RelativePathError};
pub use self::env_file::EnvFile;
pub use self::error::ConfigError;
use self::error::Invalid;
pub use self::read_file::FILE_BYTES_MAX;
use self::read_file::read;
use self::setting::AppliedSetting;
pub use self::setting::{Setting, SettingError};
use self::tree::Node;

/// The deserialized file, and the positions of its keys.
#[derive(Debug)]
pub struct LoadedConfig<T> {
    pub raw: T,
    pub source: Source,
}

/// The name of the file, and the line of each of its keys.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    lines: BTreeMap<String, usize>,
    settings: Vec<AppliedSetting>,
}

/// Loads the file at `path`, with variables from the environment.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<LoadedConfig<T>, ConfigError> {
    load_with(path, &[])
}

/// Loads the file at `path`. A variable of `env_file` replaces one of the environment.
pub fn load_with_env_file<T: DeserializeOwned>(
    path: &Path,
    env_file: &EnvFile,
) -> Result<LoadedConfig<T>, ConfigError> {
    let text = read(path)?;
    let env = |name: &str| env_file.get(name).map(str::to_owned).or_else(|| environment(name));
    parse_with(path, &text, &[], &env)
}

/// Loads like [`load`], and overrides keys with `settings`.
pub fn load_with<T: DeserializeOwned>(
    path: &Path,
    settings: &[Setting],
) -> Result<LoadedConfig<T>, ConfigError> {
    let text = read(path)?;
    parse_with(path, &text, settings, &environment)
}

/// Parses `text`. The ending of `file` decides the format, errors contain its
/// name, and `env` looks up variables.
pub fn parse<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<LoadedConfig<T>, ConfigError> {
    parse_with(file, text, &[], env)
}

/// Parses like [`parse`], and overrides keys with `settings`.
pub fn parse_with<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    settings: &[Setting],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<LoadedConfig<T>, ConfigError> {
    let in_file = |invalid: Invalid| invalid.in_file(file);
    let format = Format::of(file).map_err(in_file)?;
    let mut root = format.parse(text.trim_start_matches('\u{feff}')).map_err(in_file)?;
    let settings: Vec<_> = settings.iter().map(|setting| setting.apply(&mut root)).collect();
    let source = Source { file: file.to_owned(), lines: tree::lines(&root), settings };
    let attributed = |invalid: Invalid| source.attribute(invalid.in_file(file));
    expand::expand(&mut root, env).map_err(attributed)?;
    let raw = deserialize::deserialize(&root).map_err(attributed)?;
    Ok(LoadedConfig { raw, source })
}

impl Source {
    /// Returns an error about a key such as `clients[1].api_key`, for a value
    /// that turned out to be invalid after it was loaded.
    pub fn invalid(&self, key: &str, reason: impl Display) -> ConfigError {
        self.attribute(ConfigError::Invalid {
            file: self.file.clone(),
            line: self.line(key),
            key: key.to_owned(),
            reason: reason.to_string(),
        })
    }

    /// Attributes an error to a setting if the key came from one, instead of to
    /// a line of the file.
    fn attribute(&self, err: ConfigError) -> ConfigError {
        match err {
            ConfigError::Invalid { key, reason, .. } if self.is_set(&key) => {
                ConfigError::Setting { key, reason }
            }
            err @ (ConfigError::Read { .. }
            | ConfigError::Setting { .. }
            | ConfigError::Invalid { .. }) => err,
        }
    }

    fn is_set(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.covers(key))
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the line of `key`. For a missing key it is the line of the
    /// innermost section or list that would contain it.
    fn line(&self, key: &str) -> Option<usize> {
        let mut path = key;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

#[derive(Clone, Copy)]
enum Format {
    Yaml,
    Toml,
}

impl Format {
    fn of(file: &Path) -> Result<Format, Invalid> {
        let ending = file.extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("yaml" | "yml") => Ok(Format::Yaml),
            Some("toml") => Ok(Format::Toml),
            Some(_) | None => {
                Err(Invalid::file("expected a name that ends in .yaml, .yml or .toml"))
            }
        }
    }

    fn parse(self, text: &str) -> Result<Node, Invalid> {
        let root = match self {
            Format::Yaml => yaml::tree(text)?,
            Format::Toml => toml::tree(text)?,
        };
        root.ok_or_else(|| Invalid::file("the file is empty"))
    }
}

#[expect(clippy::disallowed_methods, reason = "the only access to the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns a secret from the environment.
pub fn secret_from_environment(name: &str) -> Option<Secret> {
    environment(name).map(Secret::new)
}
