use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::Secret;
use crate::config::parse_with;

#[derive(Debug, Deserialize)]
struct Raw {
    #[serde(default)]
    log: Log,
    s3: S3,
    #[expect(dead_code, reason = "only used by invalid settings")]
    notify: Option<Notify>,
}

#[derive(Debug, Default, Deserialize)]
struct Log {
    run_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct S3 {
    bucket: String,
    concurrency: Option<u64>,
    enabled: Option<bool>,
    #[serde(default)]
    paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Notify {
    #[expect(dead_code, reason = "only used by invalid settings")]
    url: Secret,
}

fn loaded(text: &str, settings: &[&str]) -> Result<Raw, String> {
    let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
    let env = |name: &str| (name == "NAME").then(|| "from-env".to_owned());
    let loaded = parse_with(Path::new("c.toml"), text, &settings, &env);
    loaded.map(|loaded| loaded.raw).map_err(|err| err.to_string())
}

const FILE: &str = "[s3]\nbucket = \"b\"\nconcurrency = 4\n";

#[test]
fn a_setting_overrides_the_file() {
    let raw = loaded(
        FILE,
        &[
            "s3.bucket=other/one",
            "s3.concurrency = 1",
            "s3.concurrency=0x10",
            "s3.enabled=true",
            "s3.paths=[\"/a\", '/b']",
            "log.run_at=02:30",
        ],
    )
    .unwrap();

    assert_eq!((&*raw.s3.bucket, raw.s3.concurrency), ("other/one", Some(16)));
    assert_eq!((raw.s3.enabled, raw.s3.paths), (Some(true), vec!["/a".into(), "/b".into()]));
    assert_eq!(raw.log.run_at.as_deref(), Some("02:30"));
    let raw = loaded("[s3]\nbucket = \"${UNSET}\"\n", &["s3.bucket=${NAME}"]).unwrap();
    assert_eq!(raw.s3.bucket, "from-env");
    let raw = loaded("[log]\n", &["s3.bucket=a=b"]).unwrap();
    assert_eq!(raw.s3.bucket, "a=b");
    assert_eq!(loaded(FILE, &["s3.bucket="]).unwrap().s3.bucket, "");
    let yaml: Setting = "s3.bucket=x".parse().unwrap();
    let loaded = parse_with::<Raw>(Path::new("c.yaml"), "s3: {bucket: b}", &[yaml], &|_| None);
    assert_eq!(loaded.unwrap().raw.s3.bucket, "x");
}

#[test]
fn an_error_in_a_setting_names_the_setting() {
    #[rustfmt::skip]
    let cases = [
        ("s3.bukket=x",           "--set s3.bukket: unknown key, did you mean `bucket`?"),
        ("s4.bucket=x",           "--set s4: unknown key, did you mean `s3`?"),
        ("bucket=x",              "--set bucket: unknown key, expected `log`, `s3` or `notify`"),
        ("s3.concurrency=many",   "--set s3.concurrency: expected an integer, found \"many\""),
        ("s3.concurrency=-1",     "--set s3.concurrency: expected an integer from 0 to 18446744073709551615, found -1"),
        ("s3.bucket=7",           "--set s3.bucket: expected a string, found 7 (put it in quotes)"),
        ("s3.bucket.name=x",      "--set s3.bucket: expected a string, found a mapping"),
        ("s3=x",                  "--set s3: expected a mapping, found a string"),
        ("s3.paths=[1]",          "--set s3.paths[0]: expected a string, found 1 (put it in quotes)"),
        ("s3.bucket=${UNSET}",    "--set s3.bucket: the environment variable UNSET is not set"),
        ("notify.url=7",          "--set notify.url: expected a string (put it in quotes)"),
    ];
    for (setting, want) in cases {
        assert_eq!(loaded(FILE, &[setting]).unwrap_err(), want);
    }
    let in_file = loaded("[s3]\nbukket = 'x'\n", &["s3.concurrency=1"]).unwrap_err();
    assert!(in_file.starts_with("c.toml:2: s3.bukket: unknown key"), "{in_file}");
    let elsewhere = loaded("[log]\n", &["s3.concurrency=1"]).unwrap_err();
    assert!(
        elsewhere.contains("s3.bucket: expected a value for this required key, found none"),
        "{elsewhere}"
    );
}

#[test]
fn an_error_found_later_names_the_setting() {
    let settings = ["s3.bucket=x".parse().unwrap()];
    let source = parse_with::<Raw>(Path::new("c.toml"), FILE, &settings, &|_| None).unwrap().source;
    assert_eq!(source.invalid("s3.bucket", "too short").to_string(), "--set s3.bucket: too short");
    assert_eq!(source.invalid("s3", "too short").to_string(), "c.toml:1: s3: too short");
    assert_eq!(
        source.invalid("s3.concurrency", "too many").to_string(),
        "c.toml:3: s3.concurrency: too many"
    );
}

#[test]
fn an_invalid_setting_is_refused() {
    #[rustfmt::skip]
    let cases = [
        ("s3.bucket",          "expected section.key=value, for example s3.concurrency=8"),
        ("",                   "expected section.key=value, for example s3.concurrency=8"),
        ("=x",                 "expected section.key=value, found an empty name in the key"),
        ("s3..bucket=x",       "expected section.key=value, found an empty name in the key"),
    ];
    for (text, want) in cases {
        assert_eq!(text.parse::<Setting>().unwrap_err().to_string(), want);
    }
    for text in ["s3.key=\"hunter2", "s3.key=[hunter2", "s3.key={hunter2"] {
        let message = text.parse::<Setting>().unwrap_err().to_string();
        assert!(message.starts_with("the value of s3.key is not valid TOML"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn the_depth_of_a_key_is_limited() {
    let text = format!("{}a=1", "a.".repeat(100_000));
    let err = text.parse::<Setting>().unwrap_err();
    assert_eq!(err.to_string(), "expected a key of at most 64 names, found 100001");
}

proptest::proptest! {
    #[test]
    fn no_setting_makes_the_loader_panic(
        key in "[a-z0-9.\\[\\]]{0,12}", value in r#"[a-z0-9\[\]{}"'=.,:$ -]{0,16}"#, text in ".{0,30}",
    ) {
        for setting in [format!("{key}={value}"), format!("s3.bucket={value}"), text] {
            if let Ok(setting) = setting.parse::<Setting>() {
                parse_with::<Raw>(Path::new("c.toml"), FILE, &[setting], &|_| None).ok();
            }
        }
    }
}
