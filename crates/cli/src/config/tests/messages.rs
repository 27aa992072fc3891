//! Every message of the loader, word for word.

use super::*;

#[test]
fn unknown_missing_and_duplicate_keys_are_refused() {
    #[rustfmt::skip]
    messages("c.yaml", &[
        ("s3:\n  bukcet: b\n",              "c.yaml:2: s3.bukcet: unknown key, did you mean `bucket`?"),
        ("s3:\n  Bucket: b\n",              "c.yaml:2: s3.Bucket: unknown key, did you mean `bucket`?"),
        ("s3:\n  colour: b\n",              "c.yaml:2: s3.colour: unknown key, expected `bucket`, `region`, `style`, `key` or `keys`"),
        ("sever: {}\n",                     "c.yaml:1: sever: unknown key, did you mean `server`?"),
        ("s3: {bucket: b, region: r}\nclients:\n- name: a\n- nane: b\n",
                                            "c.yaml:4: clients[1].nane: unknown key, did you mean `name`?"),
        ("\nclients: []\n",                 "c.yaml:2: s3: expected a value for this required key, found none"),
        ("a:\n\n  b: 1\n",                  "c.yaml:1: a: unknown key, expected `server`, `s3` or `clients`"),
        ("\ns3:\n\n  region: r\n",          "c.yaml:2: s3.bucket: expected a value for this required key, found none"),
        ("s3: {bucket: b, region: r}\nclients:\n- quota: 1\n",
                                            "c.yaml:3: clients[0].name: expected a value for this required key, found none"),
        ("s3:\n  bucket: b\n  region: r\n  bucket: c\n",
                                            "c.yaml:4: s3.bucket: expected this key once, found it on line 2 as well"),
    ]);
    #[rustfmt::skip]
    messages("c.toml", &[
        ("[s3]\nbukcet = 'b'\n",            "c.toml:2: s3.bukcet: unknown key, did you mean `bucket`?"),
        ("s3.bukcet = 'b'\n",               "c.toml:1: s3.bukcet: unknown key, did you mean `bucket`?"),
        ("\n[s3]\nregion = 'r'\n",          "c.toml:2: s3.bucket: expected a value for this required key, found none"),
        ("s3 = { bucket = 'b', region = 'r' }\n[[clients]]\n[[clients]]\nname = 'b'\n",
                                            "c.toml:2: clients[0].name: expected a value for this required key, found none"),
        ("[s3]\nbucket = 'b'\nbucket = 'c'\n",
                                            "c.toml:3: bucket: expected this key once, found it above as well"),
        ("[s3]\nbucket = 'b'\n[s3]\nregion = 'c'\n",
                                            "c.toml:3: s3: expected this key once, found it above as well"),
    ]);
}

#[test]
fn a_wrong_type_names_the_expected_and_the_found_value() {
    let long = "x".repeat(70);
    let cut = format!("an integer, found \"{}...\"", "x".repeat(60));
    #[rustfmt::skip]
    let cases = [
        ("port: abc",          "port: expected an integer, found \"abc\""),
        ("port: \"8080\"",     "port: expected an integer, found \"8080\""),
        ("port: 0644",         "port: expected an integer, found \"0644\""),
        ("port: 70000",        "port: expected an integer from 0 to 65535, found 70000"),
        ("port: -1",           "port: expected an integer from 0 to 65535, found -1"),
        ("port: 1.5",          "port: expected an integer, found 1.5"),
        ("port: true",         "port: expected an integer, found true"),
        ("port:",              "port: expected an integer, found nothing"),
        ("port: [1]",          "port: expected an integer, found a list"),
        ("port: {a: 1}",       "port: expected an integer, found a mapping"),
        ("port: ${KEY}",       "port: expected an integer, found the value of an environment variable"),
        (&format!("port: {long}"), &format!("port: expected {cut}")),
        ("offset: 99999999999999999999",
                               "offset: expected an integer from -9223372036854775808 to 9223372036854775807, found 99999999999999999999"),
        ("quota: -1",          "quota: expected an integer from 0 to 18446744073709551615, found -1"),
        ("tls: yes",           "tls: expected true or false, found \"yes\""),
        ("tls: 1",             "tls: expected true or false, found 1"),
        ("ratio: fast",        "ratio: expected a number, found \"fast\""),
        ("letter: ab",         "letter: expected a character, found string \"ab\""),
        ("pair: [1]",          "pair: expected a list of 2, found 1"),
        ("pair: [1, x]",       "pair[1]: expected an integer, found \"x\""),
        ("pair: 1",            "pair: expected a list, found a number"),
        ("cert_file: a.pem",   "cert_file: expected an absolute path, found \"a.pem\""),
        ("cert_file: ''",      "cert_file: expected an absolute path, found \"\""),
        ("cert_file: 1",       "cert_file: expected a string, found 1 (put it in quotes)"),
    ];
    for (line, want) in cases {
        let text = format!("s3: {{bucket: b, region: r}}\nserver:\n  {line}\n");
        messages("c.yaml", &[(&text, &format!("c.yaml:3: server.{want}"))]);
    }
    #[rustfmt::skip]
    messages("c.yaml", &[
        ("s3: {bucket: 3.10, region: r}\n",     "c.yaml:1: s3.bucket: expected a string, found 3.10 (put it in quotes)"),
        ("s3: {bucket: true, region: r}\n",     "c.yaml:1: s3.bucket: expected a string, found true (put it in quotes)"),
        ("s3:\n  bucket:\n  region: r\n",       "c.yaml:2: s3.bucket: expected a string, found nothing"),
        ("s3:\n  style: vhost\n",               "c.yaml:2: s3.style: expected `path` or `virtual`, found \"vhost\""),
        ("s3:\n  style: [path]\n",              "c.yaml:2: s3.style: expected `path` or `virtual`, found a list"),
        ("s3:\n  style: ${KEY}\n",              "c.yaml:2: s3.style: expected `path` or `virtual`, found the value of an environment variable"),
        ("s3: b\n",                             "c.yaml:1: s3: expected a mapping, found a string"),
        ("s3: {bucket: b, region: r}\nclients: {}\n",
                                                "c.yaml:2: clients: expected a list, found a mapping"),
        ("s3: {bucket: b, region: r}\nclients:\n",
                                                "c.yaml:2: clients: expected a list, found nothing"),
        ("s3: {bucket: b, region: r}\nclients:\n- name: a\n- name: ''\n",
                                                "c.yaml:4: clients[1].name: a name may not be empty"),
        ("- a\n",                               "c.yaml:1: expected a mapping, found a list"),
        ("hello\n",                             "c.yaml:1: expected a mapping, found a string"),
    ]);
    #[rustfmt::skip]
    messages("c.toml", &[
        ("[s3]\nbucket = 02:00:00\n",           "c.toml:2: s3.bucket: expected a string, found 02:00:00 (put it in quotes)"),
        ("[s3]\nbucket = 12\n",                 "c.toml:2: s3.bucket: expected a string, found 12 (put it in quotes)"),
        ("[server]\nport = 'x'\n",              "c.toml:2: server.port: expected an integer, found \"x\""),
        ("[server]\nport = 0x1_0000\n",         "c.toml:2: server.port: expected an integer from 0 to 65535, found 65536"),
    ]);
}

#[test]
fn no_message_contains_a_secret() {
    #[rustfmt::skip]
    messages("c.yaml", &[
        ("s3:\n  key: 31337\n",                "c.yaml:2: s3.key: expected a string (put it in quotes)"),
        ("s3:\n  key: [hunter2]\n",            "c.yaml:2: s3.key: expected a string (put it in quotes)"),
        ("s3:\n  keys: hunter2\n",             "c.yaml:2: s3.keys: expected a list, found a string"),
        ("s3:\n  keys: ['a', 31337]\n",        "c.yaml:2: s3.keys[1]: expected a string (put it in quotes)"),
        ("s3:\n  key: ${hunter\n",             "c.yaml:2: s3.key: expected ${NAME} with a name of letters, digits and \"_\"; write $${ for a plain ${"),
        ("s3:\n  key: \"hunter2\n",            "c.yaml:2: not valid YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("s3:\n  key: \"a\" hunter2\n",          "c.yaml:2: not valid YAML: invalid trailing content after double-quoted scalar"),
    ]);
    #[rustfmt::skip]
    messages("c.toml", &[
        ("[s3]\nkey = 31337\n",                "c.toml:2: s3.key: expected a string (put it in quotes)"),
        ("[s3]\nkey = hunter2\n",              "c.toml:2: not valid TOML: string values must be quoted, expected literal string"),
        ("[s3]\nkey = \"hunter2\n",            "c.toml:2: not valid TOML: invalid basic string, expected `\"`"),
    ]);
}

#[test]
fn an_unset_variable_is_refused() {
    #[rustfmt::skip]
    messages("c.yaml", &[
        ("s3:\n  key: \"${SECRET_KEY}\"\n",    "c.yaml:2: s3.key: the environment variable SECRET_KEY is not set"),
        ("clients:\n- name: x\n- name: a${B}c\n",
                                               "c.yaml:3: clients[1].name: the environment variable B is not set"),
    ]);
    #[rustfmt::skip]
    messages("c.toml", &[
        ("[s3]\nkey = '${SECRET_KEY}'\n",      "c.toml:2: s3.key: the environment variable SECRET_KEY is not set"),
    ]);
}

#[test]
fn unsupported_yaml_is_refused() {
    #[rustfmt::skip]
    messages("c.yaml", &[
        ("a: &x 1\n",                "c.yaml:1: a: anchors (`&name`) are not supported; write the value itself"),
        ("a: &x {b: 1}\n",           "c.yaml:1: a: anchors (`&name`) are not supported; write the value itself"),
        ("a: [&x [1], *x]\n",        "c.yaml:1: a[0]: anchors (`&name`) are not supported; write the value itself"),
        ("a: !!str 1\n",             "c.yaml:1: a: tags (`!name`) are not supported; write the value itself"),
        ("s3:\n  <<: {a: b}\n",      "c.yaml:2: s3.<<: merge keys are not supported; write the value itself"),
        ("? [a]\n: 1\n",             "c.yaml:1: expected a string as a key, found a list or a mapping"),
        ("a: 1\n---\nb: 1\n",        "c.yaml:2: expected one document, found a second one (`---`)"),
        ("s3: { key: ${KEY} }\n",    "c.yaml:1: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}' (inside { } or [ ], put ${...} in quotes)"),
    ]);
    let deep = "[".repeat(65) + &"]".repeat(65);
    messages("c.yaml", &[(&deep, "c.yaml:1: expected at most 64 nested levels, found more")]);
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\n\n", "# only a comment\n", "\u{feff}", "\u{feff}# x"] {
        messages("c.yaml", &[(text, "c.yaml: the file is empty")]);
        messages("c.toml", &[(text, "c.toml: the file is empty")]);
    }
    messages(
        "c.yaml",
        &[("---\n", "c.yaml: the file is empty"), ("~", "c.yaml: the file is empty")],
    );
}

#[test]
fn the_ending_decides_the_format() {
    for name in ["server.conf", "server", "yaml", ".yaml", "server.yaml.bak"] {
        let want = format!("{name}: expected a name that ends in .yaml, .yml or .toml");
        messages(name, &[("a: 1", &want)]);
    }
    let message = parsed::<Raw>("C.YML", "a: 1").unwrap_err().to_string();
    assert!(message.starts_with("C.YML:1: a: unknown key"), "{message}");
}

#[test]
fn a_message_is_one_line_for_any_key() {
    messages(
        "c\n.yaml",
        &[(
            "\"a\\nb\\e\": 1\n",
            "c\\n.yaml:1: a\\nb\\u{1b}: unknown key, expected `server`, `s3` or `clients`",
        )],
    );
}

fn messages(file: &str, cases: &[(&str, &str)]) {
    for (text, want) in cases {
        let got = parsed::<Raw>(file, text).err().map(|err| err.to_string());
        assert_eq!(got.as_deref(), Some(*want), "{text}");
    }
}
