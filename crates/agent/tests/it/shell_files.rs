//! Completions and manual pages, as a package installs them.

use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_s3up");

#[test]
fn bash_completes_commands_and_options() {
    let name = Path::new(PROGRAM).file_name().unwrap().to_str().unwrap();
    let script = format!(
        "source <({PROGRAM:?} completions bash)\n\
         complete -p {name} >/dev/null\n\
         COMP_WORDS=({name} resto); COMP_CWORD=1; _{name} {name} resto {name}; echo \"${{COMPREPLY[@]}}\"\n\
         COMP_WORDS=({name} restore --tar); COMP_CWORD=2; _{name} {name} --tar restore; echo \"${{COMPREPLY[@]}}\""
    );

    let output = Command::new("bash").args(["-e", "-c", &script]).output().unwrap();

    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "restore\n--target\n");
}

#[test]
fn each_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();

    let output = Command::new(PROGRAM).arg("man").arg(dir.path()).output().unwrap();

    assert!(output.status.success(), "{output:?}");
    for name in
        ["s3up", "s3up-list", "s3up-find", "s3up-get", "s3up-restore", "s3up-verify", "s3up-drill"]
    {
        let page = fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains("\n.SH SYNOPSIS\n") && page.contains("Examples:"), "{name}: {page}");
    }
}
