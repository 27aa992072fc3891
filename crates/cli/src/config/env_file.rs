//! A file with variables, `NAME=VALUE` on each line, as `EnvironmentFile=` of systemd takes it.
//!
//! systemd reads such a file only when it starts a service. A program that reads it by itself can
//! take over secrets that were renewed. Only what both read in the same way is accepted: empty
//! lines, comments, and values with or without quotes. A backslash is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::{ConfigError, Invalid};
use super::read_file::read;

/// The variables of a file. Their values may be secrets.
#[derive(Clone, Default)]
pub struct EnvFile(BTreeMap<String, String>);

impl EnvFile {
    pub fn load(path: &Path) -> Result<EnvFile, ConfigError> {
        EnvFile::parse(&read(path)?).map_err(|invalid| invalid.in_file(path))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn parse(text: &str) -> Result<EnvFile, Invalid> {
        let mut variables = BTreeMap::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            // The line is not in the message: it may be a secret.
            let wrong = |what: &str| Invalid::line(n + 1, what);
            let (name, value) =
                line.split_once('=').ok_or_else(|| wrong("expected NAME=VALUE, found no \"=\""))?;
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_valid) {
                return Err(wrong("expected a name of letters, digits and \"_\" before the \"=\""));
            }
            let value = unquote(value.trim()).map_err(wrong)?;
            if variables.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(wrong("expected this variable once, found it twice"));
            }
        }
        Ok(EnvFile(variables))
    }
}

fn unquote(value: &str) -> Result<&str, &'static str> {
    if value.contains('\\') {
        return Err("a backslash in a value is not supported");
    }
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote).filter(|inner| !inner.contains(quote));
            return inner.ok_or("expected one pair of quotes around the value");
        }
    }
    if value.contains(['"', '\'']) {
        Err("expected quotes around the whole value")
    } else {
        Ok(value)
    }
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_systemd_reads_them() {
        let text = "# keys\n\nID=AKIA1\n S2=\"a b=c\" \n;x\nS3='d\"e'\nEMPTY=\n";
        let file = EnvFile::parse(text).unwrap();

        let got = ["ID", "S2", "S3", "EMPTY", "NONE"].map(|name| file.get(name));

        assert_eq!(got, [Some("AKIA1"), Some("a b=c"), Some("d\"e"), Some(""), None]);
        assert_eq!(format!("{file:?}"), r#"{"EMPTY", "ID", "S2", "S3"}"#);
    }

    #[test]
    fn an_error_names_the_line_and_not_the_value() {
        #[rustfmt::skip]
        let cases = [
            ("A=1\nhush",         "a.env:2: expected NAME=VALUE"),
            ("=hush",             "a.env:1: expected a name"),
            ("A B=hush",          "a.env:1: expected a name"),
            ("A=hush\nA=hush",    "a.env:2: expected this variable once, found it twice"),
            ("A=\"hush",          "a.env:1: expected one pair of quotes"),
            ("A=\"hu\"sh\"",      "a.env:1: expected one pair of quotes"),
            ("A=hu\"sh\"",        "a.env:1: expected quotes around"),
            ("A=hu\\sh",          "a.env:1: a backslash"),
        ];
        for (text, want) in cases {
            let err = EnvFile::parse(text).unwrap_err().in_file(Path::new("a.env")).to_string();
            assert!(err.contains(want), "{text:?}: {err}");
            assert!(!err.contains("hush"), "{text:?}: {err}");
        }
    }
}
