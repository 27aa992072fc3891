//! The commands of a document, with the output that it shows.
//!
//! In a `console` block a line that starts with `$ ` is a command, and the lines up to
//! the next command are its output. In a block without such lines, every line is a
//! command, and no output is compared.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use super::compare::{WRITE, difference, writes};
use super::redactions::Redactions;

const FENCE: &str = "```";
const PROMPT: &str = "$ ";
/// The line that a script prints after each command.
const END: &str = "--- end of the output of a command ---";

/// A document in Markdown.
pub struct Page {
    file: PathBuf,
    text: String,
}

/// A command of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub line: String,
    /// The output that the page shows. Empty if it shows none.
    pub output: String,
    /// Number of the first line of the output, from 0.
    at: usize,
}

impl Page {
    pub fn read(file: &Path) -> Page {
        let text = fs::read_to_string(file).unwrap_or_else(|err| panic!("{file:?}: {err}"));
        Page { file: file.to_owned(), text }
    }

    /// Returns the blocks of a language, in order.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("{FENCE}{language}\n");
        let blocks = self.text.split(fence.as_str()).skip(1);
        blocks.map(|text| text.split(FENCE).next().unwrap_or_default().to_owned()).collect()
    }

    /// Returns the commands of each `console` block, in order.
    pub fn commands(&self) -> Vec<Vec<Command>> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if line == "```console" {
                let block = lines.by_ref().map(|(_, line)| line);
                let block: Vec<_> = block.take_while(|line| *line != FENCE).collect();
                blocks.push(commands(&block, at + 1));
            }
        }
        blocks
    }

    /// Asserts that commands printed what the page shows.
    #[track_caller]
    pub fn assert_outputs(&self, found: &[(Command, String)], redactions: &Redactions) {
        let mut lines: Vec<&str> = self.text.lines().collect();
        let mut differences = String::new();
        // From the end, so that the numbers of the lines before stay right.
        let mut found: Vec<_> = found.iter().collect();
        found.sort_by_key(|(command, _)| Reverse(command.at));
        for (command, output) in found {
            let Some(text) = difference(&command.output, output, redactions) else { continue };
            differences.insert_str(0, &format!("\n$ {}\n{text}", command.line));
            let shown = command.at..command.at + command.output.lines().count();
            lines.splice(shown, output.lines());
        }
        if differences.is_empty() {
            return;
        }
        if writes() {
            fs::write(&self.file, lines.join("\n") + "\n").expect("a written page");
            return;
        }
        panic!("{} differs; {WRITE}=1 writes it:\n{differences}", self.file.display());
    }
}

/// Returns the blocks of a language in README and all documents that contain a text, each with the page
/// that it is on.
pub fn examples(language: &str, text: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = fs::read_dir(root.join("docs")).expect("the documents");
    let mut pages: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    pages.push(root.join("README.md"));
    pages.sort();
    let blocks = pages.iter().flat_map(|page| {
        let name = page.display().to_string();
        Page::read(page).blocks(language).into_iter().map(move |block| (name.clone(), block))
    });
    blocks.filter(|(_, block)| block.contains(text)).collect()
}

/// Returns the keys of a table of docs/configuration.md with their defaults, for each row whose default is
/// one value: `| `server.port` | `8080` | …`.
pub fn key_defaults(heading: &str) -> Vec<(String, String)> {
    let row = |cells: Vec<String>| {
        let (key, default) = (value(&cells[0])?, value(&cells[1])?);
        (!key.contains('`') && !default.contains('`')).then_some((key, default))
    };
    key_rows(heading).into_iter().filter_map(row).collect()
}

/// Value that a test gives to a key, since its row in docs/configuration.md names it as a limit or a choice.
#[derive(Debug, PartialEq)]
pub struct KeyProbe {
    pub key: String,
    pub value: serde_json::Value,
    pub is_valid: bool,
}

/// Returns the values that the column `constraints` of a table of docs/configuration.md allows and refuses:
/// the ends of `1 to 256`, `at least 1` and `` at least `5m` ``, the numbers beyond them, and each choice
/// where the unit is `one of`. Rows of several keys have none.
pub fn key_probes(heading: &str) -> Vec<KeyProbe> {
    let probes = |cells: Vec<String>| {
        let key = value(&cells[0]).filter(|key| !key.contains('`'));
        let values = if cells.len() == 5 { probed(&cells[2], &cells[3]) } else { Vec::new() };
        let probe = |key: String| {
            let probe = move |(value, is_valid)| KeyProbe { key: key.clone(), value, is_valid };
            values.into_iter().map(probe).collect::<Vec<_>>()
        };
        key.map(probe).unwrap_or_default()
    };
    key_rows(heading).into_iter().flat_map(probes).collect()
}

fn probed(unit: &str, constraints: &str) -> Vec<(serde_json::Value, bool)> {
    use serde_json::json;
    if unit == "one of" {
        let choices = constraints.split(", ").filter_map(value);
        let choices = choices.map(|choice| (json!(choice), true));
        return choices.chain([(json!("nonsense"), false)]).collect();
    }
    let constraint = constraints.split(';').next().unwrap_or_default().replace(',', "");
    let ends = match constraint.split(' ').collect::<Vec<_>>()[..] {
        [least, "to", most] => [Some(least), Some(most)],
        ["at", "least", least] => [Some(least), None],
        _ => [None, None],
    };
    if ends == [Some("`5m`"), None] {
        return vec![(json!("5m"), true), (json!("4m"), false)];
    }
    let mut probes = Vec::new();
    for (end, step) in ends.into_iter().zip([-1, 1]) {
        let Some(end) = end else { continue };
        match (end.parse::<i64>(), end.parse::<f64>()) {
            (Ok(end), _) => probes.extend([(json!(end), true), (json!(end + step), false)]),
            (Err(_), Ok(end)) => {
                let beyond = end + f64::from(i32::try_from(step).expect("one")) * 0.01;
                probes.extend([(json!(end), true), (json!(beyond), false)]);
            }
            (Err(_), Err(_)) => {}
        }
    }
    probes
}

/// Returns the cells of each row of the table below a heading of docs/configuration.md.
fn key_rows(heading: &str) -> Vec<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = Page::read(&root.join("docs/configuration.md")).text;
    let (_, rest) = page.split_once(heading).expect("the heading");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        let cells = line.strip_prefix("| ")?.trim_end_matches('|').split(" |");
        let cells: Vec<_> = cells.map(|cell| cell.trim().to_owned()).collect();
        Some(cells).filter(|cells| cells.len() > 1)
    };
    section.lines().filter_map(row).collect()
}

/// Returns the text of a cell that is one piece of code.
fn value(cell: &str) -> Option<String> {
    Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned())
}

/// Returns a script for `sh -e` that runs commands, one after the other.
pub fn script<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().map(|line| format!("{line}\necho '{END}'\n")).collect()
}

/// Splits the standard output of a [`script`] into the outputs of its commands.
pub fn outputs(stdout: &str) -> Vec<String> {
    let end = format!("{END}\n");
    let mut outputs: Vec<_> = stdout.split(end.as_str()).map(str::to_owned).collect();
    // What follows the last end is the output of a command that failed.
    outputs.pop();
    outputs
}

fn commands(block: &[&str], first: usize) -> Vec<Command> {
    let command = |line: &str, at: usize| Command {
        line: line.split("  #").next().unwrap_or_default().trim_end().to_owned(),
        output: String::new(),
        at: first + at + 1,
    };
    let shows_output = block.iter().any(|line| line.starts_with(PROMPT));
    let mut found: Vec<Command> = Vec::new();
    for (at, line) in block.iter().enumerate() {
        match line.strip_prefix(PROMPT) {
            Some(line) => found.push(command(line, at)),
            None if !shows_output => found.push(command(line, at)),
            None => {
                let last = found.last_mut().expect("a block with output starts with a command");
                last.output.push_str(line);
                last.output.push('\n');
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n```console\nmake\n```\nText\n```console\n$ one   # note\nout 1\nout 2\n$ two\n$ three\nout\n```\n";

    #[test]
    fn a_row_is_probed_at_its_limits_and_just_beyond_them() {
        use serde_json::json;
        #[rustfmt::skip]
        let cases = [
            ("MiB",     "at least 1",            vec![(json!(1), true), (json!(0), false)]),
            ("minutes", "1 to 10,080",           vec![(json!(1), true), (json!(0), false), (json!(10_080), true), (json!(10_081), false)]),
            ("seconds", "0.1 to 60",             vec![(json!(0.1), true), (json!(0.1 - 0.01), false), (json!(60), true), (json!(61), false)]),
            ("age",     "at least `5m`",         vec![(json!("5m"), true), (json!("4m"), false)]),
            ("one of",  "`skip`, `upload`",      vec![(json!("skip"), true), (json!("upload"), true), (json!("nonsense"), false)]),
            ("keys",    "at least 32 characters", vec![]),
            ("path",    "PEM",                   vec![]),
            ("boolean", "",                      vec![]),
        ];
        for (unit, constraints, expected) in cases {
            assert_eq!(probed(unit, constraints), expected, "{unit}: {constraints}");
        }
    }

    #[test]
    fn commands_and_their_output_are_found() {
        let page = Page { file: PathBuf::new(), text: TEXT.to_owned() };

        let blocks = page.commands();

        let command = |line: &str, output: &str, at| Command {
            line: line.to_owned(),
            output: output.to_owned(),
            at,
        };
        assert_eq!(blocks[0], [command("make", "", 3)]);
        let want = [
            command("one", "out 1\nout 2\n", 7),
            command("two", "", 10),
            command("three", "out\n", 11),
        ];
        assert_eq!(blocks[1], want);
        assert_eq!(page.blocks("console")[0], "make\n");
    }

    #[test]
    fn a_script_tells_the_outputs_apart() {
        let script = script(["echo one; echo two", "true", "echo three"]);

        let output = std::process::Command::new("sh").args(["-e", "-c", &script]).output();

        let stdout = String::from_utf8(output.expect("a shell").stdout).expect("UTF-8");
        assert_eq!(outputs(&stdout), ["one\ntwo\n", "", "three\n"]);
    }

    #[test]
    #[should_panic(expected = "$ three")]
    fn another_output_than_that_of_the_page_is_a_failure() {
        let page = Page { file: PathBuf::from("A"), text: TEXT.to_owned() };
        let mut found: Vec<_> =
            page.commands()[1].iter().cloned().map(|c| (c.clone(), c.output)).collect();
        page.assert_outputs(&found, &Redactions::new());
        found[2].1 = "else\n".to_owned();

        page.assert_outputs(&found, &Redactions::new());
    }
}
