//! Processes that a test left, found by the marker in their environment.

use std::process::Command;
use std::time::Duration;

use s3up_testkit::{Marker, wait_until};

#[test]
fn an_orphan_is_found_and_killed() {
    let marker = Marker::new();
    // The shell prints a line once its child runs, and leaves it alone.
    let mut command = Command::new("sh");
    let command = command.args(["-c", "sleep 1000 >/dev/null 2>&1 & echo started"]);
    let (name, value) = marker.env();
    let output = command.env(name, value).output().unwrap();
    assert_eq!(output.stdout, b"started\n");

    // Until the child has become `sleep`, it is still called as its parent was.
    let is_sleep = || marker.processes()[0].command == "sleep 1000";
    assert!(wait_until(Duration::from_secs(10), is_sleep), "{:?}", marker.processes());

    assert_eq!(marker.processes().len(), 1);
    assert_eq!(Marker::new().processes(), []);
    marker.kill_all();
    marker.assert_none_left();
}
