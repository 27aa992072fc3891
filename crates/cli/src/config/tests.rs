//! Tests of the whole loader: both formats give the same value, and each message
//! is asserted word for word.

mod messages;
mod properties;

use std::path::Path;

use serde::Deserialize;

use std::fs::File;

use super::*;
use crate::Secret;

#[test]
fn both_formats_give_the_same_value() {
    let yaml = "\
# a comment with ${NO_VARIABLE}
server:
  port: 8080
  ratio: 0.5
  tls: true
s3: { bucket: b, region: 'eu', style: path, key: \"${KEY}\" }
clients:
  - name: one
    quota: 3
  - { name: \"two\", quota: }
";
    let toml = "\
# a comment with ${NO_VARIABLE}
[server]
port = 8_080
ratio = 0.5
tls = true
[s3]
bucket = 'b'
region = \"eu\"
style = \"path\"
key = \"${KEY}\"
[[clients]]
name = \"one\"
quota = 0x3
[[clients]]
name = \"two\"
";
    let yaml: Raw = parsed("c.yaml", yaml).unwrap().raw;
    let toml: Raw = parsed("c.toml", toml).unwrap().raw;

    assert_eq!(format!("{yaml:?}"), format!("{toml:?}"));
    assert_eq!(yaml.s3.key.unwrap().expose(), "sk_1");
    assert_eq!(yaml.clients[0].quota, Some(3));
    assert_eq!(yaml.clients[1].quota, None);
}

#[test]
fn the_field_decides_the_type_of_a_variable() {
    let text = "server: { port: \"${PORT}\", ratio: '${PORT}', tls: \"${YES}\" }\n\
                s3: { bucket: \"b-${PORT}\", region: \"${PORT}\", style: \"${STYLE}\" }\n";

    let file: Raw = parsed("c.yaml", text).unwrap().raw;

    let server = file.server.unwrap();
    assert_eq!((server.port, server.ratio, server.tls), (8080, Some(8080.0), true));
    assert_eq!((&*file.s3.bucket, &*file.s3.region), ("b-8080", "8080"));
    assert_eq!(file.s3.style, Some(Style::Virtual));
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    let text = "\u{feff}s3:\r\n  bucket: b\r\n  region: 'x'\r\n  port: 1\r\n";
    let message = parsed::<Raw>("c.yml", text).unwrap_err().to_string();
    assert!(message.starts_with("c.yml:4: s3.port: unknown key"), "{message}");

    let text = "\u{feff}[s3]\r\nbucket = 'b'\r\nregion = 'x'\r\nport = 1\r\n";
    let message = parsed::<Raw>("c.toml", text).unwrap_err().to_string();
    assert!(message.starts_with("c.toml:4: s3.port: unknown key"), "{message}");
}

#[test]
fn an_empty_section_has_no_keys() {
    let file: Raw = parsed("c.yaml", "s3: {bucket: b, region: r}\nserver:\n").unwrap().raw;
    assert!(file.server.is_none());

    let message = parsed::<Raw>("c.yaml", "\n\ns3:\n").unwrap_err().to_string();
    assert_eq!(message, "c.yaml:3: s3.bucket: expected a value for this required key, found none");
}

#[test]
fn an_error_after_loading_has_the_line_of_its_key() {
    let text = "s3:\n  bucket: b\n  region: r\nclients:\n  - name: a\n  - name: b\n    quota: 1\n";
    let source = parsed::<Raw>("dir/c.yaml", text).unwrap().source;
    #[rustfmt::skip]
    let cases = [
        ("s3.bucket",         "dir/c.yaml:2: s3.bucket: too short"),
        ("s3",                "dir/c.yaml:1: s3: too short"),
        ("clients[1].quota",  "dir/c.yaml:7: clients[1].quota: too short"),
        ("clients[0].quota",  "dir/c.yaml:5: clients[0].quota: too short"),
        ("clients[7].name",   "dir/c.yaml:5: clients[7].name: too short"),
        ("server.tls.port",   "dir/c.yaml: server.tls.port: too short"),
        ("",                  "dir/c.yaml:1: too short"),
    ];
    for (key, want) in cases {
        assert_eq!(source.invalid(key, "too short").to_string(), want);
    }
    assert_eq!(source.file(), Path::new("dir/c.yaml"));
}

#[test]
fn an_unreadable_file_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("latin1.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    std::fs::create_dir(path("dir.yaml")).unwrap();
    let long = File::create(path("long.yaml")).unwrap();
    long.set_len(FILE_BYTES_MAX + 1).unwrap();
    #[rustfmt::skip]
    let cases = [
        ("missing.yaml", "No such file or directory (os error 2)"),
        ("dir.yaml",     "Is a directory (os error 21)"),
        ("latin1.yaml",  "line 2 is not valid UTF-8"),
        ("long.yaml",    "expected at most 16777216 bytes, found more"),
    ];
    for (name, want) in cases {
        let message = load::<Raw>(&path(name)).unwrap_err().to_string();
        assert_eq!(message, format!("read {}: {want}", path(name).display()));
    }
}

#[test]
fn variables_come_from_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, "s3 = { bucket = '${CARGO_PKG_NAME}', region = 'r' }\n").unwrap();

    let loaded = load::<Raw>(&path).unwrap();

    assert_eq!(loaded.raw.s3.bucket, "s3up-cli");
}

fn parsed<T: DeserializeOwned>(file: &str, text: &str) -> Result<LoadedConfig<T>, ConfigError> {
    let variables = [("KEY", "sk_1"), ("PORT", "8080"), ("YES", "true"), ("STYLE", "virtual")];
    let env = |name: &str| {
        variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
    };
    parse(Path::new(file), text, &env)
}

/// A configuration with one key of each type.
#[derive(Debug, Deserialize)]
struct Raw {
    server: Option<Server>,
    s3: S3,
    #[serde(default)]
    clients: Vec<Client>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "some keys are only used by invalid files")]
struct Server {
    port: u16,
    ratio: Option<f64>,
    #[serde(default)]
    tls: bool,
    offset: Option<i64>,
    quota: Option<u64>,
    cert_file: Option<AbsolutePath>,
    letter: Option<char>,
    pair: Option<(u8, u8)>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "some keys are only used by invalid files")]
struct S3 {
    bucket: String,
    region: String,
    style: Option<Style>,
    key: Option<Secret>,
    #[serde(default)]
    keys: Vec<Secret>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Style {
    Path,
    Virtual,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "some keys are only used by invalid files")]
struct Client {
    name: Name,
    quota: Option<u64>,
}

/// Checks its value while it is deserialized, as the types of `s3up-core` do.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Name(#[expect(dead_code, reason = "only printed")] String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        if text.is_empty() { Err("a name may not be empty".to_owned()) } else { Ok(Name(text)) }
    }
}
