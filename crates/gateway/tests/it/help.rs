//! The help texts of `s3up-server`.

use std::process::Command;

const WIDTH_MAX: usize = 80;

#[test]
fn every_help_fits_80_columns_and_has_examples() {
    let commands: [&[&str]; 4] = [&[], &["serve"], &["check-config"], &["keygen"]];
    for command in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_s3up-server"))
            .args(command)
            .arg("--help")
            .output()
            .unwrap();

        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command:?}");
        assert!(text.contains("\nExamples:\n"), "{command:?}: {text}");
        assert!(text.contains("\nLogging options:\n"), "{command:?}: {text}");
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH_MAX, "{command:?}: {line}");
        }
    }
}
