//! `${VAR}` in strings, from the environment.
//!
//! Only in values: keys and comments stay as they are. `$${VAR}` stands for
//! the text `${VAR}`; a `$` that no `{` follows is a `$`. What a variable holds
//! is not expanded again. No error shows the text around a variable, which may
//! be a secret.

use super::error::Wrong;
use super::tree::{Kind, Node, Place, Scalar, Value};

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn expand(root: &mut Node, env: Environment<'_>) -> Result<(), Wrong> {
    expand_node(root, &Place::Root, env)
}

fn expand_node(node: &mut Node, place: &Place<'_>, env: Environment<'_>) -> Result<(), Wrong> {
    match &mut node.value {
        Value::Scalar(scalar) => expand_scalar(scalar, env)
            .map_err(|wrong| Wrong::key(node.line, place.to_string(), wrong)),
        Value::Sequence(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(n, item)| expand_node(item, &Place::Item(place, n), env)),
        Value::Mapping(entries) => entries.iter_mut().try_for_each(|entry| {
            expand_node(&mut entry.node, &Place::Key(place, &entry.key), env)
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
    if scalar.kind != Kind::Text || !scalar.text.contains("${") {
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
        scalar.kind = Kind::Expanded;
        rest = after;
    }
    expanded.push_str(rest);
    scalar.text = expanded;
    Ok(())
}

/// The name before the `}`, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('}')?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    (starts_well && name.bytes().all(good)).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once() {
        let unset = |name: &str| Err(ExpandError::Unset(name.to_owned()));
        #[rustfmt::skip]
        let cases = [
            ("plain",          Ok(("plain", Kind::Text))),
            ("${A}",           Ok(("1", Kind::Expanded))),
            ("x${A}y${B_2}",   Ok(("x1y${A}", Kind::Expanded))),
            ("$A {A} $ $$",    Ok(("$A {A} $ $$", Kind::Text))),
            ("$${A}",          Ok(("${A}", Kind::Text))),
            ("$${A",           Ok(("${A", Kind::Text))),
            ("$$${A}",         Ok(("$${A}", Kind::Text))),
            ("$${A} ${A}",     Ok(("${A} 1", Kind::Expanded))),
            ("${EMPTY}",       Ok(("", Kind::Expanded))),
            ("${NO}",          unset("NO")),
            ("${a}",           unset("a")),
            ("${}",            Err(ExpandError::Name)),
            ("${A",            Err(ExpandError::Name)),
            ("${A-x}",         Err(ExpandError::Name)),
            ("${2A}",          Err(ExpandError::Name)),
            ("${ A }",         Err(ExpandError::Name)),
        ];
        for (text, want) in cases {
            let mut scalar = Scalar { text: text.to_owned(), kind: Kind::Text };

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
