//! Logging to stderr: lines for a person, logfmt for a log collector, or JSON.
//!
//! Every line about an operation has a field `event` with a stable name.
//! Timestamps are UTC. The crates that we depend on log one level less than our
//! own (`warning` and above by default), so that `info` is about backups.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::one_line::one_line;
use crate::progress;

/// Prefixes of the log targets of our own crates.
const OWN_TARGETS: [&str; 2] = ["s3up", "btrfs"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for a person
    Human,
    /// key=value pairs
    Logfmt,
    /// One JSON object per line
    Json,
}

/// The logging arguments that all programs share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct LogArgs {
    /// Lowest level to log: debug, info, warning
    /// or error (default: info)
    #[arg(
        long,
        value_name = "LEVEL",
        global = true,
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    pub log_level: Option<LogLevel>,
    /// Log format: human, logfmt or json (default:
    /// human on a terminal, otherwise logfmt)
    #[arg(
        long,
        value_name = "FORMAT",
        global = true,
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, thiserror::Error)]
#[error("start logging")]
pub struct LogError(#[from] tracing_subscriber::util::TryInitError);

impl LogArgs {
    /// Takes each value that was not given as an argument from the configuration.
    pub fn with_config(self, level: Option<LogLevel>, format: Option<LogFormat>) -> LogArgs {
        LogArgs { log_level: self.log_level.or(level), log_format: self.log_format.or(format) }
    }

    /// Starts logging to stderr. A process can call this only once.
    pub fn init(&self) -> Result<(), LogError> {
        let terminal = io::stderr().is_terminal();
        Ok(self.subscriber(Stderr, terminal).try_init()?)
    }

    fn subscriber<W>(&self, writer: W, terminal: bool) -> impl Subscriber + Send + Sync
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let level = self.log_level.unwrap_or(LogLevel::Info);
        let format = self.log_format.unwrap_or(default_format(terminal));
        tracing_subscriber::registry()
            .with(layer(format, writer, terminal).with_filter(targets(level)))
    }
}

fn default_format(terminal: bool) -> LogFormat {
    if terminal { LogFormat::Human } else { LogFormat::Logfmt }
}

fn targets(level: LogLevel) -> Targets {
    let (own, other) = match level {
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Warning => (LevelFilter::WARN, LevelFilter::WARN),
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
    };
    OWN_TARGETS.iter().fold(Targets::new().with_default(other), |targets, target| {
        targets.with_target(*target, own)
    })
}

fn layer<W>(format: LogFormat, writer: W, terminal: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A line that cannot be written is dropped: reporting that on a closed
    // stderr would panic.
    let lines = tracing_subscriber::fmt::layer().log_internal_errors(false);
    match format {
        LogFormat::Human => lines
            .with_timer(UtcSeconds)
            .fmt_fields(format::debug_fn(one_line_field).delimited(" "))
            .with_target(false)
            .with_ansi(terminal)
            .with_writer(writer)
            .boxed(),
        LogFormat::Logfmt => {
            tracing_logfmt::builder().layer().log_internal_errors(false).with_writer(writer).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_writer(writer).boxed(),
    }
}

/// Writes one field, escaped: a name from a disk or a request may contain line
/// breaks and terminal sequences. The formats logfmt and JSON escape by
/// themselves.
fn one_line_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = one_line(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        name if writer.has_ansi_escapes() => write!(writer, "\x1b[2m{name}=\x1b[0m{value}"),
        name => write!(writer, "{name}={value}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a log line says when it was written")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A time without fractions of a second: `2026-01-31T23:59:59Z`.
struct UtcSeconds;

impl FormatTime for UtcSeconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", now().strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// A writer to stderr that hides the progress bars while it writes.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::suspended(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Stderr;

    fn make_writer(&self) -> Stderr {
        Stderr
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

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
            (None,                    true,  "Z  INFO stored event=\"upload\" path=\"a\\nb\" bytes=3"),
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

    fn logged(args: LogArgs, terminal: bool, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = args.subscriber(move || writer.clone(), terminal);
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
}
