//! Compares the outputs of `s3up-server` with the golden files in `tests/golden/output`.

use std::fs;
use std::path::Path;
use std::process::Command;

use s3up_testkit::golden::{Redactions, assert_golden};

use crate::fixture::config;

#[test]
fn outputs_are_those_of_the_golden_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("server.yaml");
    fs::write(&file, config("http://127.0.0.1:9000", Path::new("/var/lib/s3up-server/gateway.db")))
        .unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/output");

    for command in ["check-config", "keygen"] {
        let output = Command::new(env!("CARGO_BIN_EXE_s3up-server"))
            .arg("--config")
            .arg(&file)
            .arg(command)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let text = format!("$ s3up-server {command}\n{stdout}");
        assert_golden(&golden.join(format!("{command}.txt")), &text, &Redactions::new());
    }
}
