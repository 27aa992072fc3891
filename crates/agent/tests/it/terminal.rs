//! Progress on a terminal, which a pipe must not get.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::fixture::{Host, World, noise};
use crate::process::Process;

const COLUMNS: usize = 80;
const FILES: usize = 100;
/// A restore of the files takes some of these pauses, so that its bar is drawn in between.
const LATENCY: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_shows_files_bytes_rate_and_time_left_in_80_columns() {
    let (world, host) = stored_files().await;
    world.slow(LATENCY);
    let target = host.dir.path().join("target");

    let shown = on_terminal(&host, &restore(&target), &[]).await;

    let frames = frames(&shown);
    let is_whole = |frame: &&String| {
        let parts = [" files [", "] ", "iB/", "iB/s, ", "s left"];
        frame.starts_with("restore: ") && parts.iter().all(|part| frame.contains(part))
    };
    let whole: Vec<_> = frames.iter().filter(is_whole).collect();
    assert!(whole.len() > 2, "{frames:#?}");
    let bars = frames.iter().filter(|frame| frame.contains(['[', '\u{2026}']));
    let widest = bars.map(|bar| bar.chars().count()).max();
    assert!(widest.is_some_and(|columns| columns <= COLUMNS), "{widest:?} columns: {frames:#?}");
    assert!(shown.contains("restored         100 "), "{shown}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), FILES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_file_leaves_room_for_the_numbers() {
    let (world, host) = stored_files().await;
    let name = "n".repeat(200);
    host.write(&name, noise(3 << 20));
    assert!(host.scan().await.is_clean());
    world.slow(LATENCY);
    let (path, target) = (format!("uploads/{name}"), host.dir.path().join("one"));

    let shown =
        on_terminal(&host, &["get", &path, "-o", target.to_str().expect("UTF-8")], &[]).await;

    let frames = frames(&shown);
    let bars: Vec<_> = frames.iter().filter(|frame| frame.starts_with("nnn")).collect();
    let is_whole = |bar: &&&String| bar.contains("\u{2026} [") && bar.ends_with(" left");
    assert!(bars.iter().any(|bar| is_whole(&bar)), "{frames:#?}");
    assert!(bars.iter().all(|bar| bar.chars().count() <= COLUMNS), "{frames:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_left_out_on_request_and_a_pipe_gets_neither_colours_nor_bars() {
    let (world, host) = stored_files().await;
    world.slow(LATENCY);
    let directory = |name: &str| {
        let directory = host.dir.path().join(name);
        // In the place of a file, so that a line is logged.
        fs::create_dir_all(directory.join("file-0")).expect("a new directory");
        directory
    };
    let (coloured, plain, piped) = (directory("coloured"), directory("plain"), directory("piped"));

    let coloured = on_terminal(&host, &restore(&coloured), &[("NO_COLOR", "")]).await;
    let plain = on_terminal(&host, &restore(&plain), &[("NO_COLOR", "1")]).await;
    let piped = Process::output(&host, &restore(&piped)).await;

    for shown in [&coloured, &plain] {
        assert!(shown.contains("not restored: uploads/file-0"), "{shown}");
        assert!(frames(shown).iter().any(|frame| frame.contains(" left")), "{shown}");
    }
    assert!(has_colours(&coloured), "{coloured:?}");
    assert!(!has_colours(&plain), "{plain:?}");
    assert_eq!(piped.code, Some(3), "{piped:?}");
    for output in [&piped.stdout, &piped.stderr] {
        assert!(!output.contains(['\u{1b}', '\r']) && !output.contains(" left"), "{output:?}");
    }
}

async fn stored_files() -> (World, Host) {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..FILES {
        host.write(format!("file-{n}"), noise(100_000));
    }
    assert!(host.scan().await.is_clean());
    (world, host)
}

fn restore(target: &Path) -> [&str; 4] {
    ["restore", "uploads", "--target", target.to_str().expect("UTF-8")]
}

/// Runs the program on a terminal of 80 columns, and returns everything that the terminal got.
async fn on_terminal(host: &Host, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let config = host.config_file();
    let program = [env!("CARGO_BIN_EXE_s3up"), "--config", config.to_str().expect("UTF-8")];
    let words = program.iter().chain(arguments).map(|word| format!("'{word}'"));
    let line = words.collect::<Vec<_>>().join(" ");
    let line = format!("stty cols {COLUMNS} rows 24 && {line}");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env("TERM", "xterm").envs(variables.iter().copied()).stdin(Stdio::null());
    let shown = script.output().await.expect("a terminal");
    String::from_utf8(shown.stdout).expect("UTF-8")
}

/// Returns the lines that the terminal showed, also those that were drawn over.
fn frames(shown: &str) -> Vec<String> {
    shown.split(['\r', '\n']).map(without_escapes).filter(|frame| !frame.is_empty()).collect()
}

/// Removes the sequences that move the cursor or set a colour.
fn without_escapes(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let end = piece.find(|char: char| char.is_ascii_alphabetic());
        text + end.map_or("", |end| &piece[end + 1..])
    })
}

fn has_colours(shown: &str) -> bool {
    let sequences = shown.split("\u{1b}[").skip(1);
    let mut ends = sequences.filter_map(|rest| rest.chars().find(char::is_ascii_alphabetic));
    ends.any(|end| end == 'm')
}
