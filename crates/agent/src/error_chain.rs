//! Text of an error with its causes, on one line of the log.

use std::error::Error;

/// Returns the messages of `err` and its causes, joined by `: `.
pub fn error_chain(err: &dyn Error) -> String {
    let mut line = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
