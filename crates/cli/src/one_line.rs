//! Text that stays on its line, whatever was put into it.

/// `text` with every control character (a line break, an escape sequence)
/// written as its escape, so that a message is one line and cannot steer the
/// terminal.
pub(crate) fn one_line(text: &str) -> String {
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
    fn control_characters_become_visible() {
        assert_eq!(one_line("a\nb\r\x1b[31m\u{85}"), "a\\nb\\r\\u{1b}[31m\\u{85}");
        assert_eq!(one_line("caf\u{e9} \"x\" \\n"), "caf\u{e9} \"x\" \\n");
    }
}
