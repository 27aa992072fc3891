//! Logging to stderr: sentences for a person, logfmt for a log collector, or JSON.
//!
//! Under journald each line begins with its priority (sd-daemon(3)), which journald takes
//! off. Colours are left out if `NO_COLOR` is set or the terminal is `dumb`.
//!
//! Every line about an operation has a field `event` with a stable name.
//! Timestamps are UTC. The crates that we depend on log one level less than our
//! own (`warning` and above by default), so that `info` is about backups.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use std::os::unix::fs::MetadataExt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::one_line::one_line;
use crate::progress;
use crate::terminal::is_dumb;

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

/// Properties of stderr on which the format depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StderrFeatures {
    is_terminal: bool,
    has_colours: bool,
    /// True if journald reads stderr.
    is_journal: bool,
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
        let features = StderrFeatures::of_stderr();
        let priorities = features.is_journal;
        Ok(self.subscriber(Stderr { priorities, level: None }, features).try_init()?)
    }

    fn subscriber<W>(&self, writer: W, features: StderrFeatures) -> impl Subscriber + Send + Sync
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let StderrFeatures { is_terminal, has_colours, .. } = features;
        let level = self.log_level.unwrap_or(LogLevel::Info);
        let format = self.log_format.unwrap_or(default_format(is_terminal));
        // The filter is one of the whole subscriber. One of the layer loses the next line whenever a crate
        // asks whether a level is enabled and then logs nothing, as sqlx does:
        // https://github.com/tokio-rs/tracing/issues/2519
        tracing_subscriber::registry().with(layer(format, writer, has_colours)).with(targets(level))
    }
}

impl StderrFeatures {
    fn of_stderr() -> StderrFeatures {
        let is_terminal = io::stderr().is_terminal();
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        StderrFeatures {
            is_terminal,
            has_colours: is_terminal && variable("NO_COLOR").is_none() && !is_dumb(),
            is_journal: variable("JOURNAL_STREAM").is_some_and(|stream| is_stderr(&stream)),
        }
    }
}

/// Returns true if `stream`, a value of `JOURNAL_STREAM` (systemd.exec(5)), is stderr. A
/// process that inherited the variable may have another stderr.
fn is_stderr(stream: &OsStr) -> bool {
    let metadata = std::fs::metadata("/proc/self/fd/2");
    metadata.is_ok_and(|stderr| *stream == *format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// Returns the priority of syslog(3) as sd-daemon(3) writes it.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
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

fn layer<W>(
    format: LogFormat,
    writer: W,
    has_colours: bool,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A line that cannot be written is dropped: reporting that on a closed
    // stderr would panic.
    let lines = tracing_subscriber::fmt::layer().log_internal_errors(false);
    match format {
        LogFormat::Human => lines
            .with_timer(UtcSeconds)
            .fmt_fields(Sentence)
            .with_target(false)
            .with_ansi(has_colours)
            .with_writer(writer)
            .boxed(),
        LogFormat::Logfmt => {
            tracing_logfmt::builder().layer().log_internal_errors(false).with_writer(writer).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_writer(writer).boxed(),
    }
}

/// Formats the fields of a line for a person: the message, else the name of the event in
/// words, then the other fields.
///
/// Values are escaped: a name from a disk or a request may contain line breaks and
/// terminal sequences. The formats logfmt and JSON escape by themselves.
struct Sentence;

#[derive(Default)]
struct Fields {
    message: Option<String>,
    event: Option<String>,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = Some(value),
            "event" => self.event = Some(value.replace('_', " ")),
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_sentence = matches!(field.name(), "message" | "event");
        let shown = if is_sentence { value.to_owned() } else { format!("{value:?}") };
        self.add(field, one_line(&shown));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, one_line(&format!("{value:?}")));
    }
}

impl<'w> FormatFields<'w> for Sentence {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut found = Fields::default();
        fields.record(&mut found);
        let Fields { message, event, others } = found;
        let mut gap = "";
        if let Some(sentence) = message.filter(|message| !message.is_empty()).or(event) {
            write!(writer, "{sentence}")?;
            gap = " ";
        }
        for (name, value) in others {
            match writer.has_ansi_escapes() {
                true => write!(writer, "{gap}\x1b[2m{name}=\x1b[0m{value}")?,
                false => write!(writer, "{gap}{name}={value}")?,
            }
            gap = " ";
        }
        Ok(())
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

/// A writer to stderr that hides the progress bars while it writes. A line is one write.
struct Stderr {
    /// True if each line begins with its priority.
    priorities: bool,
    level: Option<Level>,
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = match self.level.filter(|_| self.priorities) {
            Some(level) => [priority(level).as_bytes(), bytes].concat(),
            None => bytes.to_owned(),
        };
        progress::suspended(|| io::stderr().write_all(&line))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Stderr;

    fn make_writer(&self) -> Stderr {
        Stderr { priorities: self.priorities, level: None }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Stderr {
        Stderr { priorities: self.priorities, level: Some(*metadata.level()) }
    }
}

#[cfg(test)]
mod tests;
