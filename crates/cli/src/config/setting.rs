//! Settings from the command line, `--set section.key=value`, which override keys
//! of the file for one run.
//!
//! The value has the syntax of TOML, and a word without quotes is a string:
//! `s3.prefix=nas/`, `s3.concurrency=8`, `subvolumes.paths=["/srv/data"]`. It is
//! put into the tree before `${VAR}` is expanded, so that it is expanded and
//! checked like a value of the file. An error names `--set` instead of a line.

use std::str::FromStr;

use super::toml;
use super::tree::{DEPTH_MAX, Entry, Node, NodeKind, Value};

/// A key and its value for this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    path: Vec<String>,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("expected section.key=value, for example s3.concurrency=8")]
    NoValue,
    #[error("expected section.key=value, found an empty name in the key")]
    NoKey,
    #[error("expected a key of at most {DEPTH_MAX} names, found {segments}")]
    TooDeep { segments: usize },
    /// The value is not valid TOML. It may be a secret, so the message does not
    /// contain it.
    #[error("the value of {key} is not valid TOML: {reason}")]
    Syntax { key: String, reason: String },
}

/// A setting that was put into the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppliedSetting {
    key: String,
    /// The outermost key that the setting added to the tree.
    added: String,
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
            // No key has a date or a time as its value, and 02:00 is a time in TOML.
            Ok(node) if node.kind_name() == "a date or time" => {
                Ok(Node::scalar(1, NodeKind::Text, &*self.value))
            }
            Ok(node) => Ok(node),
            Err(_) if !self.value.starts_with(['"', '\'', '[', '{']) => {
                Ok(Node::scalar(1, NodeKind::Text, &*self.value))
            }
            Err(reason) => Err(SettingError::Syntax { key: self.path.join("."), reason }),
        }
    }

    /// Puts the setting into the tree. The last of several settings with the same
    /// key wins.
    pub(super) fn apply(&self, root: &mut Node) -> AppliedSetting {
        let node = self.node().expect("from_str has parsed the value");
        let existing = put(root, &self.path, node);
        let added = self.path[..self.path.len().min(existing + 1)].join(".");
        AppliedSetting { key: self.path.join("."), added }
    }
}

impl AppliedSetting {
    /// Returns true if the value at `key` comes from this setting.
    pub(super) fn covers(&self, key: &str) -> bool {
        is_below(key, &self.key) || (is_below(&self.key, key) && is_below(key, &self.added))
    }
}

/// Returns true if `key` is `outer` or inside it.
fn is_below(key: &str, outer: &str) -> bool {
    let rest = key.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Puts `new` at `path` and returns the number of names of the path that already
/// existed.
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
        // A value on the way that is no section is replaced by a new section.
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
