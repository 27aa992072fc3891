//! A configuration file as a tree: what YAML and TOML have in common, with lines.

use std::collections::BTreeMap;
use std::fmt;

/// Deeper than any configuration; recursion over the tree stays shallow.
pub(super) const DEPTH_MAX: usize = 64;

#[derive(Debug, PartialEq)]
pub(super) struct Node {
    /// Where the value stands; of a mapping, where its key stands.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

#[derive(Debug, PartialEq)]
pub(super) struct Scalar {
    /// Of an integer: decimal digits with an optional minus.
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Integer,
    Float,
    /// A date or a time, which only TOML has.
    Date,
    Text,
    /// Text in which a variable was expanded: what it is, its reader decides.
    Expanded,
}

impl Node {
    pub(super) fn scalar(line: usize, kind: Kind, text: impl Into<String>) -> Node {
        Node { line, value: Value::Scalar(Scalar { text: text.into(), kind }) }
    }

    /// What this is, in words that never hold its value.
    pub(super) fn noun(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => "nothing",
                Kind::Bool => "true or false",
                Kind::Integer | Kind::Float => "a number",
                Kind::Date => "a date or time",
                Kind::Text => "a string",
                Kind::Expanded => "the value of an environment variable",
            },
        }
    }
}

/// Where a node stands in the tree; `Display` is what errors show, such as
/// `clients[1].api_key`, and nothing for the root.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Key(Place::Root, key) => f.write_str(key),
            Place::Key(parent, key) => write!(f, "{parent}.{key}"),
            Place::Item(parent, n) => write!(f, "{parent}[{n}]"),
        }
    }
}

/// The line of every key below `root`.
pub(super) fn lines(root: &Node) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    collect(root, &Place::Root, &mut lines);
    lines
}

fn collect(node: &Node, place: &Place<'_>, lines: &mut BTreeMap<String, usize>) {
    lines.insert(place.to_string(), node.line);
    match &node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(item, &Place::Item(place, n), lines);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                collect(&entry.node, &Place::Key(place, &entry.key), lines);
            }
        }
    }
}
