//! Parses TOML text into a tree.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue, Error};

use super::error::Invalid;
use super::tree::{Entry, Node, NodeKind, Value};

/// Returns `None` if the text contains no key.
pub(super) fn tree(text: &str) -> Result<Option<Node>, Invalid> {
    let lines = Lines::of(text);
    let root = DeTable::parse(text).map_err(|err| syntax(text, &lines, &err))?;
    let entries = lines.entries(root.get_ref());
    Ok((!entries.is_empty()).then_some(Node { line: 1, value: Value::Mapping(entries) }))
}

/// Parses a single value. The error is the parser's short message, which does not
/// contain the value.
pub(super) fn value(text: &str) -> Result<Node, String> {
    let value = DeValue::parse(text).map_err(|err| err.message().to_owned())?;
    Ok(Lines::of(text).node(&value, None))
}

/// Returns an error with the parser's short message. Its long message contains
/// the text, which may be a secret. For a duplicate key the span covers the key.
fn syntax(text: &str, lines: &Lines, err: &Error) -> Invalid {
    let span = err.span().unwrap_or_default();
    let line = lines.at(&span);
    match (err.message(), text.get(span)) {
        ("duplicate key", Some(key)) => {
            Invalid::key(line, key.to_owned(), "expected this key once, found it above as well")
        }
        (message, _) => Invalid::line(line, format_args!("not valid TOML: {message}")),
    }
}

/// The offsets at which the lines of a text start.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines([0].into_iter().chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    fn at(&self, span: &Range<usize>) -> usize {
        self.0.partition_point(|start| *start <= span.start)
    }

    /// Returns the entries in the order of the file, so that the error that is
    /// reported is the topmost one.
    fn entries(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut sorted: Vec<_> = table.iter().collect();
        sorted.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: (&std::borrow::Cow<'_, str>, _) = (key.get_ref(), key.span());
            let line = self.at(&key.1);
            Entry { key: key.0.to_string(), line, node: self.node(value, Some(line)) }
        };
        sorted.into_iter().map(entry).collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, key_line: Option<usize>) -> Node {
        let line = self.at(&value.span());
        match value.get_ref() {
            DeValue::String(text) => Node::scalar(line, NodeKind::Text, text.as_ref()),
            DeValue::Integer(number) => Node::scalar(line, NodeKind::Integer, decimal(number)),
            DeValue::Float(number) => Node::scalar(line, NodeKind::Float, number.as_str()),
            DeValue::Boolean(is) => Node::scalar(line, NodeKind::Bool, is.to_string()),
            DeValue::Datetime(date) => Node::scalar(line, NodeKind::Date, date.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.node(item, None)).collect();
                Node { line, value: Value::Sequence(items) }
            }
            DeValue::Table(table) => {
                let line = key_line.unwrap_or(line);
                Node { line, value: Value::Mapping(self.entries(table)) }
            }
        }
    }
}

/// Returns the integer in decimal digits. A number beyond 128 bits is returned
/// unchanged: it is out of range for every type.
fn decimal(number: &DeInteger<'_>) -> String {
    match i128::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) => value.to_string(),
        Err(_) => number.to_string(),
    }
}
