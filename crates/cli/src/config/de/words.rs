//! How errors name what was found and what would have been right.

use crate::config::tree::{Kind, Node, Value};

/// A longer value is cut: its start is enough to find it.
const FOUND_CHARS_MAX: usize = 60;

/// What `node` is, with the value of a scalar. Not of an expanded one: what the
/// environment holds does not belong into an error.
pub(super) fn found(node: &Node) -> String {
    let Value::Scalar(scalar) = &node.value else { return node.noun().to_owned() };
    let text = match scalar.text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &scalar.text[..at]),
        None => scalar.text.clone(),
    };
    match scalar.kind {
        Kind::Null | Kind::Expanded => node.noun().to_owned(),
        Kind::Text => format!("{text:?}"),
        Kind::Bool | Kind::Integer | Kind::Float | Kind::Date => text,
    }
}

/// The nearest known key, or all of them where none is near.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let lower = key.to_lowercase();
    let distance = |name: &&&str| strsim::damerau_levenshtein(&lower, name);
    let near = |name: &&&str| distance(name) <= (name.len() / 3).max(1);
    match known.iter().filter(near).min_by_key(distance) {
        Some(name) => format!("unknown key, did you mean `{name}`?"),
        None if known.is_empty() => "unknown key, none is expected here".to_owned(),
        None => format!("unknown key, expected {}", one_of(known)),
    }
}

/// `a`, `b` or `c`.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
