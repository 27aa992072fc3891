//! Finding the processes of a test by the tag in their environment.

use std::process::Command;
use std::time::Duration;

use s3up_testkit::{ProcessTag, wait_until};

#[test]
fn an_orphan_is_found_and_killed() {
    let tag = ProcessTag::new();
    // The shell prints a line once its child runs, and exits.
    let mut command = Command::new("sh");
    let command = command.args(["-c", "sleep 1000 >/dev/null 2>&1 & echo started"]);
    let (name, value) = tag.env();
    let output = command.env(name, value).output().unwrap();
    assert_eq!(output.stdout, b"started\n");

    // Until the child executes `sleep`, it has the name of its parent.
    let is_sleep = || tag.processes()[0].command == "sleep 1000";
    assert!(wait_until(Duration::from_secs(10), is_sleep), "{:?}", tag.processes());

    assert_eq!(tag.processes().len(), 1);
    assert_eq!(ProcessTag::new().processes(), []);
    tag.kill_all();
    tag.assert_no_process_left();
}
