//! Formats the outputs of commands as tables, lines and JSON, and draws progress bars.

pub mod benchmark;
pub mod browse;
pub mod change_printer;
pub mod cost;
pub mod drill;
pub mod estimate;
pub mod file_printer;
pub mod json_list;
pub mod list;
pub mod plan;
pub mod progress;
pub mod prune;
pub mod restore;
pub mod restore_files;
pub mod status;
pub mod thaw;
pub mod verify;

use serde::Serialize;

/// Formats `data` as indented JSON with a final newline.
pub fn json(data: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(data).expect("plain data is always JSON");
    text.push('\n');
    text
}
