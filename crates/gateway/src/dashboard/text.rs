//! Numbers, times and foreign text as the pages show them. Pure.
//!
//! HTML is escaped by the templates. This file makes visible what HTML would show wrongly: characters that
//! change the direction of text, that are invisible, or that break a line.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use s3up_core::age_text;

use crate::clock::Millis;

/// Ages below this one are not counted in seconds: the page itself is that old.
const JUST_NOW: Duration = Duration::from_secs(5);

/// Returns `text` with every invisible character escaped, as in `\u{202e}`.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Returns at most `chars_max` characters of `text`, as [`shown`] does.
pub(super) fn clipped(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", shown(&text[..end])),
        None => shown(text),
    }
}

/// Control characters, marks of direction, line separators, spaces of no width, tags and private
/// characters. Joiners (U+200C, U+200D) and variants of a character are parts of ordinary words.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// Returns a count with its thousands apart: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of files: `1 file`, `1,234 files`.
pub(super) fn files(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "file" } else { "files" })
}

/// Returns a part in percent, rounded down, so that only the whole is `100 %`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    match u128::from(part) * 100 / u128::from(whole) {
        0 if part > 0 => "<1 %".to_owned(),
        percent => format!("{percent} %"),
    }
}

/// Returns the time of a text in RFC 3339. A client may send any text.
pub(super) fn parse_time(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Returns a time relative to now: `just now`, `26 h ago`, `in 5 d`.
pub(super) fn relative(at: Millis, now: Millis) -> String {
    let distance = Duration::from_millis(now.abs_diff(at));
    match distance {
        _ if distance < JUST_NOW => "just now".to_owned(),
        _ if at > now => format!("in {}", age_text(distance)),
        _ => format!("{} ago", age_text(distance)),
    }
}

/// Returns the time since `at`: `for 26 h`.
pub(super) fn duration(at: Millis, now: Millis) -> String {
    match Duration::from_millis(now.abs_diff(at)) {
        age if age < JUST_NOW => "just now".to_owned(),
        age => format!("for {}", age_text(age)),
    }
}

/// Returns a time in seconds, for people: `2026-01-31 12:00:00 UTC`.
pub(super) fn exact(at: Millis) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    let mut text = String::new();
    // To a string it cannot fail.
    write!(text, "{}", at.strftime("%Y-%m-%d %H:%M:%S UTC")).ok();
    text
}

/// Returns the name of a file or directory, without the directories above it.
pub(super) fn last_segment(path: &str) -> &str {
    let bare = path.strip_suffix('/').unwrap_or(path);
    bare.rsplit_once('/').map_or(path, |(above, _)| &path[above.len() + 1..])
}

/// Returns a text as one word of a shell, in quotes if it needs them. Invisible characters are escaped as
/// bash, zsh and ksh read them, so that what a person copies is what is shown.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !text.is_empty() && !text.starts_with('-') && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    if text.contains(is_invisible) {
        let mut word = "$'".to_owned();
        for c in text.chars() {
            match c {
                '\'' | '\\' => word.extend(['\\', c]),
                c if is_invisible(c) => word.push_str(&escape(c)),
                c => word.push(c),
            }
        }
        return word + "'";
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns a text in double quotes, as JSON and YAML have it. Invisible characters are escaped.
pub(super) fn yaml_word(text: &str) -> String {
    let mut word = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        if is_invisible(c) { word.push_str(&escape(c)) } else { word.push(c) }
    }
    word
}

/// Returns a character as shells and YAML escape it.
fn escape(c: char) -> String {
    match u32::from(c) {
        code @ 0..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = 1_769_860_800_000; // 2026-01-31T12:00:00Z

    #[test]
    fn invisible_characters_are_shown() {
        #[rustfmt::skip]
        let cases = [
            ("plain <b>&\"'",              "plain <b>&\"'"),
            ("two\nlines\r\t\x1b[31m",     r"two\nlines\r\t\u{1b}[31m"),
            ("gpj.\u{202e}exe",            r"gpj.\u{202e}exe"),
            ("\u{2066}a\u{2069}\u{200f}",  r"\u{2066}a\u{2069}\u{200f}"),
            ("a\u{200b}b\u{feff}\u{2028}", r"a\u{200b}b\u{feff}\u{2028}"),
            ("\u{e0041}\u{ad}\u{3164}",    r"\u{e0041}\u{ad}\u{3164}"),
            // Words of other scripts and composed characters stay as they are.
            ("שלום عربي",                   "שלום عربي"),
            ("👩\u{200d}👧 ❤\u{fe0f}",      "👩\u{200d}👧 ❤\u{fe0f}"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want);
        }
    }

    #[test]
    fn a_long_text_is_clipped_at_a_character() {
        assert_eq!(clipped("äöü", 3), "äöü");
        assert_eq!(clipped("äöüß", 3), "äöü…");
        assert_eq!(clipped("a\nb", 2), "a\\n…");
        assert_eq!(clipped("", 0), "");
    }

    #[test]
    fn counts_and_percents_are_exact() {
        #[rustfmt::skip]
        let counts = [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")];
        for (number, want) in counts {
            assert_eq!(count(number), want);
        }
        assert_eq!([0, 1, 1000].map(files), ["0 files", "1 file", "1,000 files"]);
        #[rustfmt::skip]
        let percents = [
            (0,        0,        "–"),
            (0,        5,        "0 %"),
            (1,        1000,     "<1 %"),
            (1,        2,        "50 %"),
            (999,      1000,     "99 %"),
            (1000,     1000,     "100 %"),
            (u64::MAX, u64::MAX, "100 %"),
        ];
        for (part, whole, want) in percents {
            assert_eq!(percent(part, whole), want, "{part} of {whole}");
        }
    }

    #[test]
    fn times_are_relative_and_exact() {
        let second = 1000;
        #[rustfmt::skip]
        let cases = [
            (NOON,                       "just now"),
            (NOON - 4 * second,          "just now"),
            (NOON + 4 * second,          "just now"),
            (NOON - 5 * second,          "5 s ago"),
            (NOON - 119 * second,        "119 s ago"),
            (NOON - 120 * second,        "2 min ago"),
            (NOON - 26 * 3600 * second,  "26 h ago"),
            (NOON - 50 * 3600 * second,  "2 d ago"),
            (NOON + 50 * 3600 * second,  "in 2 d"),
            (i64::MIN,                   "106752011651 d ago"),
        ];
        for (at, want) in cases {
            assert_eq!(relative(at, NOON), want, "{at}");
        }
        assert_eq!(duration(NOON - 26 * 3600 * second, NOON), "for 26 h");
        assert_eq!(duration(NOON, NOON), "just now");
        assert_eq!(exact(NOON), "2026-01-31 12:00:00 UTC");
        assert_eq!(parse_time("2026-01-31T13:00:00+01:00"), Some(NOON));
        assert_eq!(parse_time("<script>"), None);
    }

    #[test]
    fn a_shell_gets_exactly_the_text() {
        #[rustfmt::skip]
        let cases = [
            ("uploads/a.jpg",       "uploads/a.jpg"),
            ("a b",                 "'a b'"),
            ("it's",                r"'it'\''s'"),
            ("$(rm -rf)`x`;\"&|",   "'$(rm -rf)`x`;\"&|'"),
            ("*?[~",                "'*?[~'"),
            ("-rf",                 "'-rf'"),
            ("",                    "''"),
            ("ä",                   "'ä'"),
            ("gpj.\u{202e}exe",     r"$'gpj.\u202eexe'"),
            ("it's\n\\\u{e0041}",   r"$'it\'s\u000a\\\U000e0041'"),
        ];
        for (text, want) in cases {
            assert_eq!(shell_word(text), want);
            let output = std::process::Command::new("bash")
                .env("LC_ALL", "C.UTF-8")
                .arg("-c")
                .arg(format!("printf %s {}", shell_word(text)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_text_of_yaml_is_quoted() {
        #[rustfmt::skip]
        let cases = [
            ("error.log",        r#""error.log""#),
            ("a\"b\\\n",         r#""a\"b\\\n""#),
            ("gpj.\u{202e}exe",  r#""gpj.\u202eexe""#),
            ("\u{e0041}",        r#""\U000e0041""#),
        ];
        for (text, want) in cases {
            assert_eq!(yaml_word(text), want);
        }
    }

    #[test]
    fn the_last_segment_is_the_name() {
        #[rustfmt::skip]
        let cases = [("a", "a"), ("a/b", "b"), ("a/b/", "b/"), ("a/", "a/"), ("", "")];
        for (path, want) in cases {
            assert_eq!(last_segment(path), want);
        }
    }
}
