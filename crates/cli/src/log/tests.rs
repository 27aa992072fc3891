//! Tests of the log.

use std::sync::{Arc, Mutex};

use tracing::callsite::DefaultCallsite;
use tracing::metadata::Kind;

use super::*;

#[test]
fn an_argument_overrides_the_configuration() {
    let typed = LogArgs { log_level: Some(LogLevel::Error), log_format: None };

    let args = typed.with_config(Some(LogLevel::Debug), Some(LogFormat::Json));

    assert_eq!(args.log_level, Some(LogLevel::Error));
    assert_eq!(args.log_format, Some(LogFormat::Json));
}

#[test]
fn each_format_has_the_event_and_its_fields_on_one_line() {
    #[rustfmt::skip]
    let cases = [
        (None,                    true,  "Z  INFO stored path=\"a\\nb\" bytes=3"),
        (None,                    false, "level=info target=s3up_cli::log::tests message=stored event=upload path=\"a\\nb\" bytes=3"),
        (Some(LogFormat::Logfmt), true,  "level=info target=s3up_cli::log::tests message=stored event=upload path=\"a\\nb\" bytes=3"),
        (Some(LogFormat::Json),   true,  "\"message\":\"stored\",\"event\":\"upload\",\"path\":\"a\\nb\",\"bytes\":3"),
    ];
    for (log_format, terminal, want) in cases {
        let args = LogArgs { log_level: None, log_format };

        let text = logged(args, terminal, || {
            tracing::info!(event = "upload", path = "a\nb", bytes = 3, "stored");
        });

        assert!(without_colours(&text).contains(want), "{text}");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert_eq!(text.contains('\x1b'), log_format.is_none() && terminal, "{text}");
    }
}

#[test]
fn a_line_for_a_person_is_a_sentence() {
    let args = LogArgs { log_level: None, log_format: Some(LogFormat::Human) };

    let text = logged(args, false, || {
        tracing::info!(event = "snapshot_created", snapshot = %"data__full", "");
        tracing::info!(event = "upload_limits", concurrency = 4);
        tracing::warn!(event = "space_low", "the disk is full");
        tracing::info!(bytes = 3);
    });

    let lines: Vec<_> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
    #[rustfmt::skip]
    let want = [
        " INFO snapshot created snapshot=data__full",
        " INFO upload limits concurrency=4",
        " WARN the disk is full",
        " INFO bytes=3",
    ];
    assert_eq!(lines, want);
}

#[test]
fn journald_learns_the_priority_of_a_line() {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    assert_eq!(levels.map(priority), ["<3>", "<4>", "<6>", "<7>", "<7>"]);
    let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
    let stream = |dev: u64, ino: u64| is_stderr(OsStr::new(&format!("{dev}:{ino}")));
    assert!(stream(stderr.dev(), stderr.ino()));
    assert!(!stream(stderr.dev(), stderr.ino() + 1));
    assert!(!is_stderr(OsStr::new("")));
}

#[test]
fn a_timestamp_is_utc() {
    let args = LogArgs { log_level: None, log_format: Some(LogFormat::Human) };

    let before = now().as_second();
    let text = logged(args, false, || tracing::info!("tick"));

    let (stamp, _) = text.split_once(' ').unwrap();
    let stamp: jiff::Timestamp = stamp.parse().unwrap();
    assert!((before..=now().as_second()).contains(&stamp.as_second()));
}

#[test]
fn a_level_applies_to_our_crates_and_other_crates_log_less() {
    #[rustfmt::skip]
    let cases = [
        (LogLevel::Debug,   "debug info warn error other_info other_warn"),
        (LogLevel::Info,    "info warn error other_warn"),
        (LogLevel::Warning, "warn error other_warn"),
        (LogLevel::Error,   "error"),
    ];
    for (level, want) in cases {
        let args = LogArgs { log_level: Some(level), log_format: Some(LogFormat::Json) };

        let text = logged(args, false, || {
            tracing::debug!("debug");
            tracing::info!("info");
            tracing::warn!("warn");
            tracing::error!("error");
            tracing::info!(target: "aws_sdk_s3", "other_info");
            tracing::warn!(target: "hyper", "other_warn");
        });

        let messages = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["message"].as_str().unwrap().to_owned()
        });
        assert_eq!(messages.collect::<Vec<_>>().join(" "), want);
    }
}

#[test]
fn no_log_line_contains_terminal_sequences() {
    for log_format in [LogFormat::Human, LogFormat::Logfmt, LogFormat::Json] {
        let args = LogArgs { log_level: None, log_format: Some(log_format) };

        let text = logged(args, false, || {
            tracing::info!(path = %"\x1b[2Jx\ny", "got \x1b[31mred\n2026-01-01 fake line");
        });

        assert!(!text.contains('\x1b'), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    }
}

/// A crate may ask whether it would be logged, and then log nothing.
#[test]
fn a_line_after_a_question_for_another_level_is_not_lost() {
    static ASKED: DefaultCallsite = DefaultCallsite::new(&ASKED_FOR);
    static ASKED_FOR: Metadata<'static> = tracing::metadata! {
        name: "asked",
        target: "other",
        level: Level::DEBUG,
        fields: tracing::fieldset!(),
        callsite: &ASKED,
        kind: Kind::EVENT,
    };
    let text = logged(LogArgs::default(), false, || {
        for text in ["one", "two"] {
            tracing::dispatcher::get_default(|dispatch| assert!(!dispatch.enabled(&ASKED_FOR)));
            tracing::info!(target: "s3up", "{text}");
        }
    });

    assert!(text.contains("one") && text.contains("two"), "{text}");
}

fn logged(args: LogArgs, terminal: bool, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let has_colours = terminal;
    let features = StderrFeatures { is_terminal: terminal, has_colours, is_journal: false };
    let subscriber = args.subscriber(move || writer.clone(), features);
    tracing::subscriber::with_default(subscriber, log);
    let bytes = lines.0.lock().expect("no writer panicked").clone();
    String::from_utf8(bytes).expect("log lines are UTF-8")
}

/// Removes the colours from `text`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').unwrap_or_default().1)
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
