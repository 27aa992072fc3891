//! The parts that the programs share: configuration, logging, progress, tables,
//! signals, exit codes, lock files and confined paths.
//!
//! A `main` parses its arguments, which include [`LogArgs`], and loads its
//! configuration with [`config::load`]. It calls [`LogArgs::init`] and then works
//! until it is done or its [`ShutdownSignal`] arrives. It passes its result to
//! [`finish`], which prints at most one line and chooses the exit code. Work that
//! a person waits for shows a [`progress`] bar.
//!
//! Not here: the meaning of the keys in a configuration. Each program defines
//! them in its own `config.rs`.

mod age;
pub mod at_time;
pub mod config;
mod confined;
mod exit;
mod file_mode;
mod finding_table;
pub mod init;
pub mod lock_file;
mod log;
mod one_line;
mod open_files;
pub mod progress;
mod secret;
mod secret_url;
mod service;
mod shell_files;
mod shutdown;
mod table;
mod terminal;

pub use age::parse_age;
pub use confined::{open_confined, open_confined_file};
pub use exit::{Exit, ExitWith, finish};
pub use file_mode::is_open_to_all_users;
pub use finding_table::{FindingLine, finding_table};
pub use log::{LogArgs, LogError, LogFormat, LogLevel};
pub use one_line::one_line;
pub use open_files::raise_open_files;
pub use secret::Secret;
pub use secret_url::{RequestError, SecretUrl, SecretUrlError};
pub use service::{ServiceState, feed_watchdog, notify, notify_status};
pub use shell_files::ShellFilesCommand;
pub use shutdown::{ShutdownSignal, Signal};
pub use table::{AlignedRows, Header, table};
