//! The text of `--help` of every command: it fits 80 columns, and is that of the golden files in
//! `help/`.
//!
//! `S3UP_WRITE_HELP=1 cargo test -p btrfs-to-s3 --test it help` writes the files. Without the
//! variable they are only compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::names_in;

const WRITE: &str = "S3UP_WRITE_HELP";
const COLUMNS_MAX: usize = 80;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help")
}

/// Returns the help of a command; that of the program if there are no `arguments`.
fn help(arguments: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_btrfs-to-s3"));
    let output = program.args(arguments).arg("--help").output().expect("the program");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the commands that the help of the program lists.
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn help_fits_80_columns_and_is_that_of_the_golden_files() {
    let program = help(&[]);
    let commands = commands(&program);
    let texts = commands.iter().map(|name| (format!("{name}.txt"), help(&[name])));
    let mut texts: Vec<_> =
        texts.chain([("btrfs-to-s3.txt".to_owned(), program.clone())]).collect();
    texts.sort();
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(folder()).unwrap();
        for (name, text) in &texts {
            fs::write(folder().join(name), text).unwrap();
        }
    }

    let names: Vec<_> = texts.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names_in(&folder()), names);
    for (name, text) in texts {
        let long = text.lines().find(|line| line.chars().count() > COLUMNS_MAX);
        assert_eq!(long, None, "{name}");
        let golden = fs::read_to_string(folder().join(&name)).unwrap();
        assert_eq!(text, golden, "{name}: run with {WRITE}=1 and review the difference");
    }
}

#[test]
fn the_help_of_every_command_has_examples() {
    for name in commands(&help(&[])) {
        let text = help(&[name]);
        let (_, examples) = text.split_once("Examples:\n").unwrap_or_else(|| panic!("{name}"));
        let is_example = |line: &&str| line.starts_with("  btrfs-to-s3 ");
        let count = examples.lines().filter(is_example).count();
        assert!((2..=3).contains(&count), "{name}: {count} examples");
    }
}
