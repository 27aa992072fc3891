//! Formats the effective configuration as YAML. Except for the masked key, it can
//! be loaded again.

use serde_json::Value;

use super::raw::Raw;

impl Raw {
    pub fn to_yaml(&self) -> String {
        let value = serde_json::to_value(self).expect("plain data is JSON");
        let mut text = String::new();
        write(&mut text, &value, 0);
        text
    }
}

fn write(text: &mut String, value: &Value, depth: usize) {
    let Value::Object(keys) = value else { return };
    for (key, value) in keys {
        let indent = "  ".repeat(depth);
        match value {
            // A key that is not set is left out.
            Value::Null => {}
            Value::Object(keys) if keys.values().all(Value::is_null) => {}
            Value::Object(_) => {
                text.push_str(&format!("{indent}{key}:\n"));
                write(text, value, depth + 1);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                text.push_str(&format!("{indent}{key}:\n"));
                items.iter().for_each(|item| write_item(text, item, depth + 1));
            }
            // JSON of text, numbers and lists of text is valid YAML.
            Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                text.push_str(&format!("{indent}{key}: {value}\n"));
            }
        }
    }
}

fn write_item(text: &mut String, item: &Value, depth: usize) {
    let mut lines = String::new();
    write(&mut lines, item, depth + 1);
    let indent = "  ".repeat(depth);
    let rest = lines.trim_start();
    text.push_str(&format!("{indent}- {rest}"));
}
