//! Text from outside the program, made safe to print on one line.

/// Returns `text` with its control characters escaped, line breaks and the start
/// of terminal sequences among them. A name from a disk or a request can
/// therefore neither forge a second line nor control the terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(one_line("a\nb\r\x1b[31m\u{85}"), "a\\nb\\r\\u{1b}[31m\\u{85}");
        assert_eq!(one_line("caf\u{e9} \"x\" \\n"), "caf\u{e9} \"x\" \\n");
    }
}
