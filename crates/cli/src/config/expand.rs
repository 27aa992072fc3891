//! Replaces `${VAR}` in strings by the value of the environment variable.
//!
//! Only values are expanded, not keys. `$${VAR}` stands for the text `${VAR}`; a
//! `$` without a `{` is an ordinary character. The value of a variable is not
//! expanded again. No error contains the text around a variable, which may be a
//! secret.

use super::error::Invalid;
use super::tree::{KeyPath, Node, NodeKind, Scalar, Value};

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn expand(root: &mut Node, env: Environment<'_>) -> Result<(), Invalid> {
    expand_node(root, &KeyPath::Root, env)
}

fn expand_node(node: &mut Node, path: &KeyPath<'_>, env: Environment<'_>) -> Result<(), Invalid> {
    match &mut node.value {
        Value::Scalar(scalar) => {
            expand_scalar(scalar, env).map_err(|err| Invalid::key(node.line, path.to_string(), err))
        }
        Value::Sequence(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(n, item)| expand_node(item, &KeyPath::Item(path, n), env)),
        Value::Mapping(entries) => entries.iter_mut().try_for_each(|entry| {
            expand_node(&mut entry.node, &KeyPath::Key(path, &entry.key), env)
        }),
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ExpandError {
    #[error("the environment variable {0} is not set")]
    Unset(String),
    #[error(
        "expected ${{NAME}} with a name of letters, digits and \"_\"; write $${{ for a plain ${{"
    )]
    Name,
}

fn expand_scalar(scalar: &mut Scalar, env: Environment<'_>) -> Result<(), ExpandError> {
    if scalar.kind != NodeKind::Text || !scalar.text.contains("${") {
        return Ok(());
    }
    let mut expanded = String::with_capacity(scalar.text.len());
    let mut rest = scalar.text.as_str();
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let (name, after) = name(after).ok_or(ExpandError::Name)?;
        expanded.push_str(before);
        expanded.push_str(&env(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?);
        scalar.kind = NodeKind::Expanded;
        rest = after;
    }
    expanded.push_str(rest);
    scalar.text = expanded;
    Ok(())
}

/// Splits `text` into the name before the `}` and the text after it.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('}')?;
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let has_valid_start = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    (has_valid_start && name.bytes().all(is_valid)).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_once() {
        let unset = |name: &str| Err(ExpandError::Unset(name.to_owned()));
        #[rustfmt::skip]
        let cases = [
            ("plain",          Ok(("plain", NodeKind::Text))),
            ("${A}",           Ok(("1", NodeKind::Expanded))),
            ("x${A}y${B_2}",   Ok(("x1y${A}", NodeKind::Expanded))),
            ("$A {A} $ $$",    Ok(("$A {A} $ $$", NodeKind::Text))),
            ("$${A}",          Ok(("${A}", NodeKind::Text))),
            ("$${A",           Ok(("${A", NodeKind::Text))),
            ("$$${A}",         Ok(("$${A}", NodeKind::Text))),
            ("$${A} ${A}",     Ok(("${A} 1", NodeKind::Expanded))),
            ("${EMPTY}",       Ok(("", NodeKind::Expanded))),
            ("${NO}",          unset("NO")),
            ("${a}",           unset("a")),
            ("${}",            Err(ExpandError::Name)),
            ("${A",            Err(ExpandError::Name)),
            ("${A-x}",         Err(ExpandError::Name)),
            ("${2A}",          Err(ExpandError::Name)),
            ("${ A }",         Err(ExpandError::Name)),
        ];
        for (text, want) in cases {
            let mut scalar = Scalar { text: text.to_owned(), kind: NodeKind::Text };

            let got = expand_scalar(&mut scalar, &environment);

            let want =
                want.map(|(text, kind)| assert_eq!((&*scalar.text, scalar.kind), (text, kind)));
            assert_eq!(got, want, "{text}");
        }
    }

    fn environment(name: &str) -> Option<String> {
        let variables = [("A", "1"), ("B_2", "${A}"), ("EMPTY", "")];
        variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
    }
}
