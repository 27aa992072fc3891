//! Properties of the loader that hold for any text.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused_with_one_line(text in any_text()) {
        for file in ["c.yaml", "c.toml"] {
            for result in [parsed::<Raw>(file, &text).err(), parsed::<Any>(file, &text).err()] {
                let message = result.map(|err| err.to_string()).unwrap_or_default();
                prop_assert!(!message.contains(['\n', '\r', '\x1b']), "{message:?}");
            }
        }
    }

    #[test]
    fn no_error_contains_the_secret(before in value_text(), after in value_text()) {
        let secret = "hunter2hunter2";
        for (file, text) in [
            ("c.yaml", format!("s3:\n  key: {before}{secret}{after}\n")),
            ("c.yaml", format!("s3:\n  key: \"{before}{secret}{after}\n")),
            ("c.toml", format!("[s3]\nkey = \"{before}{secret}{after}\"\n")),
            ("c.toml", format!("[s3]\nkey = {secret}{after}\"\n")),
        ] {
            if let Err(err) = parsed::<Raw>(file, &text) {
                prop_assert!(!err.to_string().contains(secret), "{err}\n{text}");
            }
        }
    }

    #[test]
    fn equal_documents_of_both_formats_are_equal(document in document()) {
        let yaml = parsed::<BTreeMap<String, Any>>("c.yaml", &yaml(&document)).unwrap().raw;
        let toml = parsed::<BTreeMap<String, Any>>("c.toml", &toml(&document)).unwrap().raw;

        prop_assert_eq!(&yaml, &toml);
        prop_assert_eq!(yaml, document);
    }
}

/// Text made of pieces of configuration, so that part of it passes the parser.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "s3", "bucket", "key", "a", "1", "true", ": ", ":", "=", "- ", "\n", "\n  ", "\"", "'",
            "{", "}", "[", "]", ",", "#", "&x", "*x", "!!str", "<<", "|", ">", "---", "${", "${KEY}",
            "\\", "\t", "[[", "]]", ".", "\r\n", "? ", "%", "~", "0x", "\u{feff}",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Text that is a single value: errors do contain keys, so it must not contain
/// any.
fn value_text() -> impl Strategy<Value = String> {
    any_text().prop_map(|text| text.replace(['\n', '\r', '{', '}', '[', ']', ','], ""))
}

/// A value of any type.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Any {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Mapping(BTreeMap<String, Any>),
}

fn document() -> impl Strategy<Value = BTreeMap<String, Any>> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Integer),
        (-1e15..1e15f64).prop_map(Any::Float),
        "[^$]{0,8}".prop_map(Any::Text),
    ];
    let value = scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Any::List),
            prop::collection::btree_map("[a-z$ .\"\\n]{1,4}", inner, 0..4).prop_map(Any::Mapping),
        ]
    });
    prop::collection::btree_map("[a-z_]{1,6}", value, 1..4)
}

/// Quotes a string as in JSON, which both formats accept.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a string is JSON");
    let escape =
        |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
    json.chars().map(escape).collect()
}

fn yaml(document: &BTreeMap<String, Any>) -> String {
    document
        .iter()
        .map(|(key, value)| format!("{}: {}\n", quoted(key), flow(value, ": ")))
        .collect()
}

fn toml(document: &BTreeMap<String, Any>) -> String {
    document
        .iter()
        .map(|(key, value)| format!("{} = {}\n", quoted(key), flow(value, " = ")))
        .collect()
}

/// Writes a value on one line. The formats differ in the `joint` between key and
/// value.
fn flow(value: &Any, joint: &str) -> String {
    match value {
        Any::Bool(is) => is.to_string(),
        Any::Integer(number) => number.to_string(),
        Any::Float(number) => format!("{number:?}"),
        Any::Text(text) => quoted(text),
        Any::List(items) => {
            let items: Vec<_> = items.iter().map(|item| flow(item, joint)).collect();
            format!("[{}]", items.join(", "))
        }
        Any::Mapping(entries) => {
            let entry = |(key, value): (&String, &Any)| quoted(key) + joint + &flow(value, joint);
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
