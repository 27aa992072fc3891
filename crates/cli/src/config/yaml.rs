//! YAML text to a tree: one document of mappings, lists and scalars.
//!
//! Anchors, aliases, tags and `<<` are refused: a configuration that says what
//! it means is the better one, and an alias can blow up a file. A key that is
//! set twice is refused, because the two halves of a long file hide it well.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::error::Wrong;
use super::plain;
use super::tree::{DEPTH_MAX, Entry, Kind, Node, Scalar, Value};

/// `None` where the text has no value.
pub(super) fn tree(text: &str) -> Result<Option<Node>, Wrong> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|err| syntax(text, &err))?;
        builder.take(event, span)?;
    }
    Ok(builder.root.filter(|root| root.noun() != "nothing"))
}

/// The scanner's words never quote the text; what surrounds the place may be a
/// secret.
fn syntax(text: &str, err: &ScanError) -> Wrong {
    let line = err.marker().line();
    let inside_braces = text.lines().nth(line - 1).is_some_and(|line| line.contains("${"));
    let hint = if inside_braces { " (inside { } or [ ], put ${...} in quotes)" } else { "" };
    Wrong::line(line, format_args!("not valid YAML: {}{hint}", err.info()))
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// The collections that are not yet closed, outermost first.
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
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Wrong> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_none() => Ok(()),
            Event::DocumentStart(_) => {
                Err(Wrong::line(line, "expected one document, found a second one (`---`)"))
            }
            Event::Alias(_) => Err(self.unsupported(line, "aliases (`*name`)")),
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(line, anchor, tag.is_some())?;
                self.scalar(line, &text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_only(line, anchor, tag.is_some())?;
                self.open(line, Open::Sequence { line, items: Vec::new() })
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_only(line, anchor, tag.is_some())?;
                let line = self.key_line().unwrap_or(line);
                let (entries, lines) = (Vec::new(), BTreeMap::new());
                self.open(line, Open::Mapping { line, entries, lines, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn plain_only(&self, line: usize, anchor: usize, tagged: bool) -> Result<(), Wrong> {
        match (anchor, tagged) {
            (0, false) => Ok(()),
            (0, true) => Err(self.unsupported(line, "tags (`!name`)")),
            (_, _) => Err(self.unsupported(line, "anchors (`&name`)")),
        }
    }

    fn scalar(&mut self, line: usize, text: &str, style: ScalarStyle) -> Result<(), Wrong> {
        if let Some(Open::Mapping { key: key @ None, lines, .. }) = self.open.last_mut() {
            *key = Some((text.to_owned(), line));
            let first = lines.insert(text.to_owned(), line);
            return match first {
                Some(first) => {
                    Err(self.wrong(line, format_args!("this key is already set on line {first}")))
                }
                None if text == "<<" && style == ScalarStyle::Plain => {
                    Err(self.unsupported(line, "merge keys"))
                }
                None => Ok(()),
            };
        }
        let scalar = match style {
            ScalarStyle::Plain => plain::scalar(text),
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Scalar { text: text.to_owned(), kind: Kind::Text },
        };
        // The scanner places an empty value where the next token is.
        let line = if scalar.kind == Kind::Null { self.key_line().unwrap_or(line) } else { line };
        self.add(Node { line, value: Value::Scalar(scalar) });
        Ok(())
    }

    fn open(&mut self, line: usize, open: Open) -> Result<(), Wrong> {
        if let Some(Open::Mapping { key: None, .. }) = self.open.last() {
            return Err(self.wrong(line, "expected a key that is one word or string"));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Wrong::line(
                line,
                format_args!("nested more than {DEPTH_MAX} levels deep"),
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Wrong> {
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

    /// The line of the key whose value comes next.
    fn key_line(&self) -> Option<usize> {
        match self.open.last()? {
            Open::Mapping { key: Some((_, line)), .. } => Some(*line),
            Open::Mapping { key: None, .. } | Open::Sequence { .. } => None,
        }
    }

    fn unsupported(&self, line: usize, what: &str) -> Wrong {
        self.wrong(line, format_args!("{what} are not supported, write the value out"))
    }

    fn wrong(&self, line: usize, what: impl std::fmt::Display) -> Wrong {
        Wrong::key(line, self.place(), what)
    }

    /// Where the next value goes, as errors show it.
    fn place(&self) -> String {
        let mut place = String::new();
        for open in &self.open {
            match open {
                Open::Sequence { items, .. } => place.push_str(&format!("[{}]", items.len())),
                Open::Mapping { key: None, .. } => {}
                Open::Mapping { key: Some((key, _)), .. } => {
                    place.push_str(if place.is_empty() { "" } else { "." });
                    place.push_str(key);
                }
            }
        }
        place
    }
}
