//! The help of a program: `--help` is that of the golden files, and both `--help`
//! and `-h` fit a terminal of 80 columns.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::compare::assert_golden;
use super::redactions::Redactions;

const COLUMNS_MAX: usize = 80;
/// Examples of each command.
const EXAMPLES: std::ops::RangeInclusive<usize> = 2..=3;

/// Asserts that the help of a program and of each of its commands is that of the
/// files in `directory`: `PROGRAM.txt` and `PROGRAM-COMMAND.txt`. No other file may be
/// there.
#[track_caller]
pub fn assert_help(program: &str, directory: &Path) {
    let name = Path::new(program).file_name().expect("a program").to_str().expect("UTF-8");
    let of_program = help(program, &["--help"]);
    let mut texts = BTreeMap::from([(format!("{name}.txt"), of_program.clone())]);
    for command in commands(&of_program) {
        let text = help(program, &[command, "--help"]);
        assert_has_examples(name, command, &text);
        assert_fits(&help(program, &[command, "-h"]));
        texts.insert(format!("{name}-{command}.txt"), text);
    }
    assert_fits(&help(program, &["-h"]));
    for (file, text) in &texts {
        assert_fits(text);
        assert_golden(&directory.join(file), text, &Redactions::new());
    }
    let entries = fs::read_dir(directory).expect("the golden files");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    files.sort();
    assert_eq!(files, texts.keys().map(String::as_str).collect::<Vec<_>>());
}

#[track_caller]
fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the commands that the help of a program lists. None if it has no commands.
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[track_caller]
fn assert_fits(text: &str) {
    let long = text.lines().find(|line| line.chars().count() > COLUMNS_MAX);
    assert_eq!(long, None, "{text}");
}

#[track_caller]
fn assert_has_examples(program: &str, command: &str, text: &str) {
    let (_, examples) = text.split_once("Examples:\n").unwrap_or_else(|| panic!("{command}"));
    let is_example = |line: &&str| line.starts_with("  ") && line.contains(&format!("{program} "));
    let count = examples.lines().filter(|line| !line.contains('#')).filter(is_example).count();
    assert!(EXAMPLES.contains(&count), "{command} has {count} examples: {text}");
}
