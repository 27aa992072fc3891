//! What the fuzz targets of both configuration formats share: any text is
//! refused with one line, or holds a value that comes back unchanged.

use std::collections::BTreeMap;
use std::path::Path;

use s3up_cli::Secret;
use s3up_cli::config::{self, ConfigError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The name of the file decides the format; `joint` stands between a key and
/// its value there.
pub fn check_config(file: &str, joint: &str, text: &str) {
    if let Err(err) = read::<Typed>(file, text) {
        assert_one_line(file, &err);
    }
    let document = match read::<BTreeMap<String, Any>>(file, text) {
        Ok(document) => document,
        Err(err) => return assert_one_line(file, &err),
    };
    if document.is_empty() || !are_writable(&document) {
        return;
    }
    let again: String = document
        .iter()
        .map(|(key, value)| format!("{}{joint}{}\n", quoted(key), value.inline(joint)))
        .collect();
    let read_again = read::<BTreeMap<String, Any>>(file, &again);
    assert_eq!(read_again.expect("what was read can be written"), document, "{again}");
}

fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    config::parse(Path::new(file), text, &|_| None).map(|loaded| loaded.raw)
}

fn assert_one_line(file: &str, err: &ConfigError) {
    let message = err.to_string();
    assert!(message.starts_with(file), "{message:?}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

/// One key of each kind, so that every reader of a scalar is reached.
#[derive(Deserialize)]
#[allow(dead_code, reason = "only read from text")]
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
            // The two formats spell infinity differently, and NaN is unlike itself.
            Any::Float(number) => number.is_finite(),
            Any::List(items) => items.iter().all(Any::is_writable),
            Any::Mapping(entries) => are_writable(entries),
            Any::Null | Any::Bool(_) | Any::Integer(_) | Any::Text(_) => true,
        }
    }

    fn inline(&self, joint: &str) -> String {
        match self {
            Any::Null => "null".to_owned(),
            Any::Bool(is) => is.to_string(),
            Any::Integer(number) => number.to_string(),
            Any::Float(number) => format!("{number:?}"),
            Any::Text(text) => quoted(&text.replace("${", "$${")),
            Any::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.inline(joint)).collect();
                format!("[{}]", items.join(", "))
            }
            Any::Mapping(entries) => {
                let entry =
                    |(key, value): (&String, &Any)| quoted(key) + joint + &value.inline(joint);
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// YAML takes no longer key on one line, and ours get longer by their escapes.
const KEY_CHARS_MAX: usize = 1024;

fn are_writable(entries: &BTreeMap<String, Any>) -> bool {
    let is_short = |key: &String| quoted(key).len() < KEY_CHARS_MAX;
    entries.iter().all(|(key, value)| is_short(key) && value.is_writable())
}

/// Both formats take JSON's strings.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a string is JSON");
    let escape = |c: char| match c {
        // A byte order mark counts at the start of a file only.
        '\u{feff}' => "\\ufeff".to_owned(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    };
    json.chars().map(escape).collect()
}
