//! Phrases for error messages: the value that was found and the expected ones.

use crate::config::tree::{Node, NodeKind, Value};

/// Maximum length of a value in a message. The start of a longer value is enough
/// to find it.
const FOUND_CHARS_MAX: usize = 60;

/// Returns the value of a scalar, or the kind of another node. The value of an
/// environment variable is never shown.
pub(super) fn found(node: &Node) -> String {
    let Value::Scalar(scalar) = &node.value else { return node.kind_name().to_owned() };
    let text = match scalar.text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &scalar.text[..at]),
        None => scalar.text.clone(),
    };
    match scalar.kind {
        NodeKind::Null | NodeKind::Expanded => node.kind_name().to_owned(),
        NodeKind::Text => format!("{text:?}"),
        NodeKind::Bool | NodeKind::Integer | NodeKind::Float | NodeKind::Date => text,
    }
}

/// Suggests the nearest known key, or lists all of them if none is near.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let lower = key.to_lowercase();
    let distance = |name: &&&str| strsim::damerau_levenshtein(&lower, name);
    let is_near = |name: &&&str| distance(name) <= (name.len() / 3).max(1);
    match known.iter().filter(is_near).min_by_key(distance) {
        Some(name) => format!("unknown key, did you mean `{name}`?"),
        None if known.is_empty() => "unknown key, expected no key here".to_owned(),
        None => format!("unknown key, expected {}", one_of(known)),
    }
}

/// Returns the names as "`a`, `b` or `c`".
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
