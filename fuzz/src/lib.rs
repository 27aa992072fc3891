//! The check that the fuzz targets of both configuration formats share.
//!
//! Any text is refused with a message of one line, or its value survives being
//! written and parsed again.

use std::collections::BTreeMap;
use std::path::Path;

use s3up_cli::Secret;
use s3up_cli::config::{self, ConfigError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Checks one text. The name of the file decides the format, and `separator` is the
/// text between a key and its value in that format.
pub fn check_config(file: &str, separator: &str, text: &str) {
    if let Err(err) = parse::<Typed>(file, text) {
        assert_one_line(file, &err);
    }
    let document = match parse::<BTreeMap<String, Any>>(file, text) {
        Ok(document) => document,
        Err(err) => return assert_one_line(file, &err),
    };
    if document.is_empty() || !are_writable(&document) {
        return;
    }
    let written: String = document
        .iter()
        .map(|(key, value)| format!("{}{separator}{}\n", quoted(key), value.inline(separator)))
        .collect();
    let parsed = parse::<BTreeMap<String, Any>>(file, &written);
    assert_eq!(parsed.expect("a written value can be parsed"), document, "{written}");
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    config::parse(Path::new(file), text, &|_| None).map(|loaded| loaded.raw)
}

fn assert_one_line(file: &str, err: &ConfigError) {
    let message = err.to_string();
    assert!(message.starts_with(file), "{message:?}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

/// One key of each type, so that every parser of a scalar is tested.
#[derive(Deserialize)]
#[allow(dead_code, reason = "only parsed from text")]
struct Typed {
    a: Option<u16>,
    b: Option<i64>,
    c: Option<bool>,
    d: Option<f64>,
    e: Option<String>,
    f: Option<Secret>,
    g: Option<Vec<Typed>>,
    h: Option<BTreeMap<String, Typed>>,
    i: Option<config::AbsolutePath>,
    j: Option<Choice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    On,
    Off,
}

/// Any value at all.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Any {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Mapping(BTreeMap<String, Any>),
}

impl Any {
    fn is_writable(&self) -> bool {
        match self {
            // The formats write infinity differently, and NaN is not equal to itself.
            Any::Float(number) => number.is_finite(),
            Any::List(items) => items.iter().all(Any::is_writable),
            Any::Mapping(entries) => are_writable(entries),
            Any::Null | Any::Bool(_) | Any::Integer(_) | Any::Text(_) => true,
        }
    }

    fn inline(&self, separator: &str) -> String {
        match self {
            Any::Null => "null".to_owned(),
            Any::Bool(is) => is.to_string(),
            Any::Integer(number) => number.to_string(),
            Any::Float(number) => format!("{number:?}"),
            Any::Text(text) => quoted(&text.replace("${", "$${")),
            Any::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.inline(separator)).collect();
                format!("[{}]", items.join(", "))
            }
            Any::Mapping(entries) => {
                let entry = |(key, value): (&String, &Any)| {
                    quoted(key) + separator + &value.inline(separator)
                };
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// Maximum length of a key on one line in YAML; our escapes make keys longer.
const KEY_CHARS_MAX: usize = 1024;

fn are_writable(entries: &BTreeMap<String, Any>) -> bool {
    let is_short = |key: &String| quoted(key).len() < KEY_CHARS_MAX;
    entries.iter().all(|(key, value)| is_short(key) && value.is_writable())
}

/// Quotes a text as a JSON string, which both formats accept.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a string is JSON");
    let escape = |c: char| match c {
        // A byte order mark at the start of a file would be skipped.
        '\u{feff}' => "\\ufeff".to_owned(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    };
    json.chars().map(escape).collect()
}
