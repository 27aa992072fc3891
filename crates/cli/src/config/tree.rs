//! A configuration file as a tree with line numbers, the common form of YAML and
//! TOML.

use std::collections::BTreeMap;
use std::fmt;

/// Maximum depth of the tree. No configuration is that deep, and recursion over
/// the tree cannot exhaust the stack.
pub(super) const DEPTH_MAX: usize = 64;

#[derive(Debug, PartialEq)]
pub(super) struct Node {
    /// The line of the value, or of its key if the value is a mapping.
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
    /// The text of the value. An integer is in decimal digits with an optional
    /// minus.
    pub(super) text: String,
    pub(super) kind: NodeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Null,
    Bool,
    Integer,
    Float,
    /// A date or a time. Only TOML has these.
    Date,
    Text,
    /// Text in which a variable was expanded. The type that it is deserialized
    /// into decides whether it is a number, a boolean or a string.
    Expanded,
}

impl Node {
    pub(super) fn scalar(line: usize, kind: NodeKind, text: impl Into<String>) -> Node {
        Node { line, value: Value::Scalar(Scalar { text: text.into(), kind }) }
    }

    /// Returns a phrase for the kind of this node. It never contains the value,
    /// which may be a secret.
    pub(super) fn kind_name(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.kind {
                NodeKind::Null => "nothing",
                NodeKind::Bool => "true or false",
                NodeKind::Integer | NodeKind::Float => "a number",
                NodeKind::Date => "a date or time",
                NodeKind::Text => "a string",
                NodeKind::Expanded => "the value of an environment variable",
            },
        }
    }
}

/// The path of a node in the tree. Errors show it as `clients[1].api_key`; the
/// path of the root is empty.
#[derive(Clone, Copy)]
pub(super) enum KeyPath<'a> {
    Root,
    Key(&'a KeyPath<'a>, &'a str),
    Item(&'a KeyPath<'a>, usize),
}

impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPath::Root => Ok(()),
            KeyPath::Key(KeyPath::Root, key) => f.write_str(key),
            KeyPath::Key(parent, key) => write!(f, "{parent}.{key}"),
            KeyPath::Item(parent, n) => write!(f, "{parent}[{n}]"),
        }
    }
}

/// Returns the line of each key below `root`.
pub(super) fn lines(root: &Node) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    collect(root, &KeyPath::Root, &mut lines);
    lines
}

fn collect(node: &Node, path: &KeyPath<'_>, lines: &mut BTreeMap<String, usize>) {
    lines.insert(path.to_string(), node.line);
    match &node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(item, &KeyPath::Item(path, n), lines);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                collect(&entry.node, &KeyPath::Key(path, &entry.key), lines);
            }
        }
    }
}
