//! What every `main` needs.
//!
//! A `main` parses its arguments (with [`LogArgs`] flattened into them), loads
//! its file with [`config::load`], calls [`LogArgs::init`], runs until its work
//! is done or [`until_stopped`] resolves, and hands the outcome to [`finish`],
//! which prints at most one line and picks the exit code. Work that a person
//! waits for shows a [`progress`] bar.
//!
//! Not here: what any key of a configuration means. Each program has its own
//! `config.rs` for that.

pub mod config;
mod exit;
pub mod lock_file;
mod log;
mod one_line;
pub mod progress;
mod secret;
mod stop;
mod table;

pub use exit::{Exit, ExitWith, finish};
pub use log::{LogArgs, LogError, LogFormat, LogLevel};
pub use secret::Secret;
pub use stop::{Stop, until_stopped};
pub use table::table;
