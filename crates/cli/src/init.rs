//! The parts of `init` that the programs share: questions, and a new configuration file.
//!
//! A question that an argument answers is not asked. Without a terminal nothing is asked: a question
//! without an answer and without a default is an error that names the argument.
//!
//! Not here: the text of a configuration. Each program renders its own from the answers.

mod dialog;
mod new_file;

pub use dialog::{Dialog, DialogError, Question};
pub use new_file::{NewFileError, write_new_file};

/// Quotes a text for a configuration file: as in JSON, which YAML and TOML accept. `${` would be read
/// as a variable there.
pub fn quoted(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is always JSON");
    quoted.replace('\u{7f}', "\\u007f").replace("${", "$${")
}
