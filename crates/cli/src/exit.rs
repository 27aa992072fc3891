//! Exit codes, and the one line that explains a failure.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::one_line::one_line;

/// The exit codes of all programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: the work is done, or none was due.
    Done = 0,
    /// 1: the work failed.
    Failed = 1,
    /// 2: the arguments or the configuration are invalid.
    Usage = 2,
    /// 3: part of the work is done. The output lists the failures.
    Partial = 3,
    /// 4: objects are still being thawed. This is not a failure.
    WaitingForThaw = 4,
    /// 75: another run holds the lock.
    Locked = 75,
    /// 130: SIGINT ended a command.
    Interrupted = 130,
    /// 143: SIGTERM ended a command.
    Terminated = 143,
}

impl Exit {
    /// Returns `error` with this exit code instead of [`Exit::Failed`]. Its
    /// message does not change.
    pub fn with(self, error: impl Into<anyhow::Error>) -> anyhow::Error {
        ExitWith { exit: self, error: error.into() }.into()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error together with the exit code that it leads to.
#[derive(Debug)]
pub struct ExitWith {
    pub exit: Exit,
    pub error: anyhow::Error,
}

impl fmt::Display for ExitWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for ExitWith {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Returns the exit code of `main`. An error is printed to stderr as one line,
/// `program: error: ...`, which includes its causes.
pub fn finish(program: &str, result: anyhow::Result<Exit>) -> ExitCode {
    let error = match result {
        Ok(exit) => return exit.into(),
        Err(error) => error,
    };
    // If stderr is closed, the exit code has to suffice.
    io::stderr().write_all(error_line(program, &error).as_bytes()).ok();
    exit_of(&error).into()
}

fn error_line(program: &str, error: &anyhow::Error) -> String {
    format!("{program}: error: {}\n", one_line(&format!("{error:#}")))
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(with) = find::<ExitWith>(error) {
        return with.exit;
    }
    if find::<ConfigError>(error).is_some() { Exit::Usage } else { Exit::Failed }
}

/// Finds an error of type `E` among the contexts and sources of `error`.
fn find<E: Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn the_exit_code_depends_on_the_cause() {
        let config = || config_error("x.conf");
        #[rustfmt::skip]
        let cases = [
            (anyhow!("no"),                                           Exit::Failed),
            (config().into(),                                         Exit::Usage),
            (anyhow::Error::from(config()).context("check"),          Exit::Usage),
            (Nested(config()).into(),                                 Exit::Usage),
            (Exit::Locked.with(anyhow!("held")),                      Exit::Locked),
            (Exit::Locked.with(anyhow!("held")).context("backup"),    Exit::Locked),
            (Exit::Partial.with(config()),                            Exit::Partial),
        ];
        for (error, want) in cases {
            assert_eq!(exit_of(&error), want, "{error:#}");
        }
    }

    #[test]
    fn an_exit_code_does_not_change_the_message() {
        let error = Err::<(), _>(anyhow!("cause")).context("held").unwrap_err();
        let error = Exit::Locked.with(error).context("backup");
        assert_eq!(format!("{error:#}"), "backup: held: cause");
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let error = anyhow!("first line\nsecond").context("read \"a\"");
        assert_eq!(error_line("s3up", &error), "s3up: error: read \"a\": first line\\nsecond\n");
        let error = config_error("server.conf").into();
        assert_eq!(
            error_line("s3up-server", &error),
            "s3up-server: error: server.conf: expected a name that ends in .yaml, .yml or .toml\n"
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("start")]
    struct Nested(#[source] ConfigError);

    fn config_error(file: &str) -> ConfigError {
        crate::config::parse::<()>(Path::new(file), "", &|_| None).unwrap_err()
    }
}
