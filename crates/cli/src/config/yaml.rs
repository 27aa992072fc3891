//! Parses YAML text into a tree: one document of mappings, lists and scalars.
//!
//! Anchors, aliases, tags and `<<` are refused: a configuration is easier to
//! review without them, and aliases can expand a small file without limit. A key
//! that is set twice is refused, because in a long file the second value is
//! easily overlooked.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::error::Invalid;
use super::plain_scalar;
use super::tree::{DEPTH_MAX, Entry, Node, NodeKind, Scalar, Value};

/// Returns `None` if the text contains no value.
pub(super) fn tree(text: &str) -> Result<Option<Node>, Invalid> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|err| syntax(text, &err))?;
        builder.handle(event, span)?;
    }
    Ok(builder.root.filter(|root| root.kind_name() != "nothing"))
}

/// Returns an error with the scanner's message, which never quotes the text. The
/// text near the error may be a secret.
fn syntax(text: &str, err: &ScanError) -> Invalid {
    let line = err.marker().line();
    let inside_braces = text.lines().nth(line - 1).is_some_and(|line| line.contains("${"));
    let hint = if inside_braces { " (inside { } or [ ], put ${...} in quotes)" } else { "" };
    Invalid::line(line, format_args!("not valid YAML: {}{hint}", err.info()))
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// The collections that are still open, outermost first.
    open: Vec<Open>,
}

enum Open {
    Sequence {
        line: usize,
        items: Vec<Node>,
    },
    Mapping {
        line: usize,
        entries: Vec<Entry>,
        lines: BTreeMap<String, usize>,
        key: Option<(String, usize)>,
    },
}

impl Builder {
    fn handle(&mut self, event: Event<'_>, span: Span) -> Result<(), Invalid> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_none() => Ok(()),
            Event::DocumentStart(_) => {
                Err(Invalid::line(line, "expected one document, found a second one (`---`)"))
            }
            Event::Alias(_) => Err(self.unsupported(line, "aliases (`*name`)")),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(line, anchor, tag.is_some())?;
                self.scalar(line, &text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(line, anchor, tag.is_some())?;
                self.begin(line, Open::Sequence { line, items: Vec::new() })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(line, anchor, tag.is_some())?;
                let line = self.key_line().unwrap_or(line);
                let (entries, lines) = (Vec::new(), BTreeMap::new());
                self.begin(line, Open::Mapping { line, entries, lines, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn refuse_properties(&self, line: usize, anchor: usize, tagged: bool) -> Result<(), Invalid> {
        match (anchor, tagged) {
            (0, false) => Ok(()),
            (0, true) => Err(self.unsupported(line, "tags (`!name`)")),
            (_, _) => Err(self.unsupported(line, "anchors (`&name`)")),
        }
    }

    fn scalar(&mut self, line: usize, text: &str, style: ScalarStyle) -> Result<(), Invalid> {
        if let Some(Open::Mapping { key: key @ None, lines, .. }) = self.open.last_mut() {
            *key = Some((text.to_owned(), line));
            let first = lines.insert(text.to_owned(), line);
            return match first {
                Some(first) => Err(self.invalid(
                    line,
                    format_args!("expected this key once, found it on line {first} as well"),
                )),
                None if text == "<<" && style == ScalarStyle::Plain => {
                    Err(self.unsupported(line, "merge keys"))
                }
                None => Ok(()),
            };
        }
        let scalar = match style {
            ScalarStyle::Plain => plain_scalar::resolve(text),
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Scalar { text: text.to_owned(), kind: NodeKind::Text },
        };
        // The scanner reports an empty value at the position of the next token.
        let line =
            if scalar.kind == NodeKind::Null { self.key_line().unwrap_or(line) } else { line };
        self.add(Node { line, value: Value::Scalar(scalar) });
        Ok(())
    }

    fn begin(&mut self, line: usize, open: Open) -> Result<(), Invalid> {
        if let Some(Open::Mapping { key: None, .. }) = self.open.last() {
            return Err(self.invalid(line, "expected a string as a key, found a list or a mapping"));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Invalid::line(
                line,
                format_args!("expected at most {DEPTH_MAX} nested levels, found more"),
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Invalid> {
        let node = match self.open.pop() {
            Some(Open::Sequence { line, items }) => Node { line, value: Value::Sequence(items) },
            Some(Open::Mapping { line, entries, .. }) => {
                Node { line, value: Value::Mapping(entries) }
            }
            None => return Ok(()),
        };
        self.add(node);
        Ok(())
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, key, .. }) => {
                if let Some((key, line)) = key.take() {
                    entries.push(Entry { key, line, node });
                }
            }
        }
    }

    /// Returns the line of the key whose value comes next.
    fn key_line(&self) -> Option<usize> {
        match self.open.last()? {
            Open::Mapping { key: Some((_, line)), .. } => Some(*line),
            Open::Mapping { key: None, .. } | Open::Sequence { .. } => None,
        }
    }

    fn unsupported(&self, line: usize, what: &str) -> Invalid {
        self.invalid(line, format_args!("{what} are not supported; write the value itself"))
    }

    fn invalid(&self, line: usize, reason: impl std::fmt::Display) -> Invalid {
        Invalid::key(line, self.path(), reason)
    }

    /// Returns the path of the next value, as errors show it.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::Sequence { items, .. } => path.push_str(&format!("[{}]", items.len())),
                Open::Mapping { key: None, .. } => {}
                Open::Mapping { key: Some((key, _)), .. } => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(key);
                }
            }
        }
        path
    }
}
