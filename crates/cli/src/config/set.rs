//! Keys that are set for one run, over what the file says: `section.key=value`.
//!
//! The value is written as in TOML; a bare word, which is no value there, is a
//! string: `s3.prefix=nas/`, `s3.concurrency=8`, `subvolumes.paths=["/srv/data"]`.
//! It takes its place in the tree before `${VAR}` is expanded, so that it means
//! what it would mean in the file, and what is wrong with it is found in the
//! same way. Only the error is another: it names `--set`, not a line.

use std::str::FromStr;

use super::toml;
use super::tree::{DEPTH_MAX, Entry, Kind, Node, Value};

/// One key, and its value for this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    path: Vec<String>,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("expected section.key=value")]
    NoValue,
    #[error("expected section.key=value; a key has no empty segment")]
    NoKey,
    #[error("a key of {segments} segments; the limit is {DEPTH_MAX}")]
    TooDeep { segments: usize },
    /// The value is not repeated: it may be a secret.
    #[error("the value of {key} is not valid TOML: {what}")]
    Syntax { key: String, what: String },
}

/// A setting that is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    key: String,
    /// The outermost key that was not there before.
    new: String,
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Setting, SettingError> {
        let (key, value) = text.split_once('=').ok_or(SettingError::NoValue)?;
        let path: Vec<_> = key.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(SettingError::NoKey);
        }
        if path.len() > DEPTH_MAX {
            return Err(SettingError::TooDeep { segments: path.len() });
        }
        let setting = Setting { path, value: value.trim().to_owned() };
        setting.node()?;
        Ok(setting)
    }
}

impl Setting {
    fn node(&self) -> Result<Node, SettingError> {
        match toml::value(&self.value) {
            // No key is a date, and 02:00 is one.
            Ok(node) if node.noun() == "a date or time" => {
                Ok(Node::scalar(1, Kind::Text, &*self.value))
            }
            Ok(node) => Ok(node),
            Err(_) if !self.value.starts_with(['"', '\'', '[', '{']) => {
                Ok(Node::scalar(1, Kind::Text, &*self.value))
            }
            Err(what) => Err(SettingError::Syntax { key: self.path.join("."), what }),
        }
    }

    /// Puts it into the tree; of two with one key the last one counts.
    pub(super) fn apply(&self, root: &mut Node) -> Applied {
        let node = self.node().expect("the value was read when the setting was");
        let known = put(root, &self.path, node);
        let new = self.path[..self.path.len().min(known + 1)].join(".");
        Applied { key: self.path.join("."), new }
    }
}

impl Applied {
    /// Whether what is wrong at `key` came with this setting.
    pub(super) fn is_at(&self, key: &str) -> bool {
        is_below(key, &self.key) || (is_below(&self.key, key) && is_below(key, &self.new))
    }
}

/// The same, or inside it.
fn is_below(key: &str, outer: &str) -> bool {
    let rest = key.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Returns how many segments of the path were there.
fn put(node: &mut Node, path: &[String], new: Node) -> usize {
    let Some((first, rest)) = path.split_first() else {
        node.value = new.value;
        return 0;
    };
    if !matches!(node.value, Value::Mapping(_)) {
        node.value = Value::Mapping(Vec::new());
    }
    let Value::Mapping(entries) = &mut node.value else { return 0 };
    match entries.iter_mut().find(|entry| entry.key == *first) {
        // What is no section becomes one, and that is new.
        Some(entry) if rest.is_empty() || matches!(entry.node.value, Value::Mapping(_)) => {
            1 + put(&mut entry.node, rest, new)
        }
        Some(entry) => {
            put(&mut entry.node, rest, new);
            0
        }
        None => {
            let mut node = Node { line: 1, value: Value::Mapping(Vec::new()) };
            put(&mut node, rest, new);
            entries.push(Entry { key: first.clone(), line: 1, node });
            0
        }
    }
}

#[cfg(test)]
mod tests;
