//! The shell script of a stand-in. It needs only POSIX shell and basic programs.
//!
//! To hang, it executes `sleep` in its own process, so killing that process leaves
//! nothing. Filters of a stream end when the pipes of the stream are closed.

use std::fmt::Write;
use std::path::Path;

use super::fault::{BtrfsFault, Calls, ExitAs, InjectedFault};

/// Text that a failing stand-in prints on stderr.
pub const ERROR_MESSAGE: &str = "ERROR: injected fault of the stand-in for btrfs";
/// Environment variable with the directory of the stand-in, set for all processes that
/// it starts.
pub const DIR_VARIABLE: &str = "S3UP_STAND_IN";
/// Longer than any test waits, but finite, because a killed test cannot end the
/// processes that it started.
const HANG_SECONDS: u32 = 3600;
/// Ends the search for a free number if the directory of the stand-in was removed.
const CALLS_MAX: u32 = 10_000;

/// Returns the directory of a call with the files `pid`, `started` (in clock ticks)
/// and `args`, which is written last.
pub fn call(n: u32) -> String {
    format!("calls/{n}")
}

/// Returns the file that exists once the fault has fired.
pub fn fired(fault: usize) -> String {
    format!("fired-{fault}")
}

pub fn write(home: &Path, real: &Path, faults: &[InjectedFault]) -> String {
    let (home, real) = (quoted(home), quoted(real));
    let mut text =
        format!("#!/bin/sh\nhome={home}\nreal={real}\nexport {DIR_VARIABLE}=\"$home\"\n");
    writeln!(text, "message='{ERROR_MESSAGE}'").expect(NO_ERROR);
    text.push_str(&PREAMBLE.replace("CALLS_MAX", &CALLS_MAX.to_string()));
    for (n, injected) in faults.iter().enumerate() {
        write_choice(&mut text, n, injected);
    }
    text.push_str("case $chosen in\n");
    for (n, injected) in faults.iter().enumerate() {
        let (fired, action) = (fired(n), action(injected));
        writeln!(text, "{n})\n  : >\"$home/{fired}\"\n{action}\n  ;;").expect(NO_ERROR);
    }
    text.push_str("esac\nexec \"$real\" \"$@\"\n");
    text
}

const NO_ERROR: &str = "writing to a string does not fail";

/// `claim` finds the first free number, even if several calls run at once, because
/// only one of them can create the directory.
const PREAMBLE: &str = r#"
claim() {
  claimed=1
  while ! mkdir "$1$claimed" 2>/dev/null; do
    claimed=$((claimed + 1))
    [ "$claimed" -le CALLS_MAX ] || exit 99
  done
}
started() {
  shift 21
  echo "$1"
}
print_error() { echo "$message" >&2; }
flood() { yes "$message" | head -c "$1" >&2; }
hang() { exec sleep "$1"; }
flip() {
  head -c "$1"
  byte=$(head -c 1 | od -An -t u1)
  [ -z "$byte" ] || printf "\\$(printf %03o $((255 - byte)))"
  cat
}
flood_after() {
  head -c "$1"
  flood "$2"
  cat
}

claim "$home/calls/"
call=$home/calls/$claimed
echo $$ >"$call/pid"
read -r stat <"/proc/$$/stat"
started $stat >"$call/started"
printf '%s\0' "$@" >"$call/args.new"
mv "$call/args.new" "$call/args"

words=
for word; do
  case $word in -*) ;; *) words="$words$word " ;; esac
done
case "$1 $2" in 'send --no-data') words="forecast $words" ;; esac
case "$words" in 'receive '*/trial' ') words="trial $words" ;; esac
chosen=none
"#;

/// Every fault counts the calls of its command, even if another fault applies.
fn write_choice(text: &mut String, n: usize, injected: &InjectedFault) {
    let is_meant = match injected.call {
        Calls::Every => "true".to_owned(),
        Calls::Nth(nth) => format!("[ $claimed -eq {nth} ]"),
    };
    let command = injected.command;
    writeln!(text, "case $words in '{command} '*)").expect(NO_ERROR);
    writeln!(text, "  claim \"$home/count-{n}-\"").expect(NO_ERROR);
    writeln!(text, "  if [ $chosen = none ] && {is_meant}; then chosen={n}; fi").expect(NO_ERROR);
    writeln!(text, "  ;;\nesac").expect(NO_ERROR);
}

/// Returns the commands that replace the real one; they end the script.
fn action(injected: &InjectedFault) -> String {
    let stream = Stream::of(injected.command);
    match injected.fault {
        BtrfsFault::FailsAfter { bytes } => format!("{}print_error\nexit 1", stream.take(bytes)),
        BtrfsFault::DiesAfter { bytes } => format!("{}kill -9 $$", stream.take(bytes)),
        BtrfsFault::CutsAfter { bytes } => {
            let rest = if stream == Stream::Read { "cat >/dev/null\n" } else { "" };
            format!("{}{rest}exit 0", stream.take(bytes))
        }
        BtrfsFault::FlipsByteAt { offset } => {
            format!("{}\nexit", stream.through(&format!("flip {offset}")))
        }
        BtrfsFault::StartsOverAfter { bytes } => {
            assert!(stream == Stream::Written, "only a send can start over: {injected:?}");
            format!("{}exec \"$real\" \"$@\"", stream.take(bytes))
        }
        BtrfsFault::HangsAfter { bytes } => format!("{}hang {HANG_SECONDS}", stream.take(bytes)),
        BtrfsFault::IgnoresTermAfter { bytes } => {
            format!("trap '' TERM\n{}hang {HANG_SECONDS}", stream.take(bytes))
        }
        BtrfsFault::FloodsStderr { after_bytes, flood_bytes, exit } => {
            let flooded = stream.flooded(after_bytes, flood_bytes);
            let end = if exit == ExitAs::Failure { "exit 1" } else { "exit" };
            format!("{flooded}\n{end}")
        }
        BtrfsFault::FailsAtTheEnd => "\"$real\" \"$@\"\nprint_error\nexit 1".to_owned(),
    }
}

/// The direction of a command's stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Written,
    Read,
    None,
}

impl Stream {
    fn of(command: &str) -> Stream {
        match command {
            "send" | "forecast" => Stream::Written,
            "receive" | "trial" => Stream::Read,
            _ => Stream::None,
        }
    }

    /// Returns the real command with the first `bytes` of its stream.
    fn take(self, bytes: u64) -> String {
        if bytes == 0 {
            return String::new();
        }
        self.through(&format!("head -c {bytes}")) + "\n"
    }

    /// Returns the real command with a filter for its stream.
    fn through(self, filter: &str) -> String {
        match self {
            Stream::Written => format!("\"$real\" \"$@\" | {filter}"),
            Stream::Read => format!("{filter} | \"$real\" \"$@\""),
            Stream::None => panic!("only send and receive have a stream"),
        }
    }

    fn flooded(self, after_bytes: u64, flood_bytes: u64) -> String {
        match self {
            Stream::None => format!("flood {flood_bytes}\n\"$real\" \"$@\""),
            Stream::Written | Stream::Read => {
                self.through(&format!("flood_after {after_bytes} {flood_bytes}"))
            }
        }
    }
}

fn quoted(path: &Path) -> String {
    let path = path.to_str().expect("a name in UTF-8");
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_quote_stays_one_word() {
        assert_eq!(quoted(Path::new("/a'b c")), r"'/a'\''b c'");
    }
}
