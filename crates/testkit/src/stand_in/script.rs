//! The text of a stand-in: POSIX shell, and the programs of any Linux system.
//!
//! Where it hangs, it has become `sleep`: killing that one process leaves
//! nothing. What takes part of a stream beside it ends with the stream's pipes.

use std::fmt::Write;
use std::path::Path;

use super::{COMPLAINT, Cue, Does, Ends, Turn};

/// An environment variable with the stand-in's folder, in all that it starts.
pub const MARKER: &str = "S3UP_STAND_IN";
/// Longer than any test waits, and not for ever: a test that is killed cannot
/// end what it started.
const HANG_SECONDS: u32 = 3600;
/// So that a stand-in whose folder is gone does not count for ever.
const CALLS_MAX: u32 = 10_000;

/// Of each call: `pid`, `started` (in clock ticks) and `args`, which comes last.
pub fn call(n: u32) -> String {
    format!("calls/{n}")
}

/// There once the cue was acted upon.
pub fn fired(cue: usize) -> String {
    format!("fired-{cue}")
}

pub fn write(home: &Path, real: &Path, cues: &[Cue]) -> String {
    let (home, real) = (quoted(home), quoted(real));
    let mut text = format!("#!/bin/sh\nhome={home}\nreal={real}\nexport {MARKER}=\"$home\"\n");
    writeln!(text, "complaint='{COMPLAINT}'").expect(FITS);
    text.push_str(&PREAMBLE.replace("CALLS_MAX", &CALLS_MAX.to_string()));
    for (n, cue) in cues.iter().enumerate() {
        write_choice(&mut text, n, cue);
    }
    text.push_str("case $chosen in\n");
    for (n, cue) in cues.iter().enumerate() {
        let (marker, does) = (fired(n), act(cue));
        writeln!(text, "{n})\n  : >\"$home/{marker}\"\n{does}\n  ;;").expect(FITS);
    }
    text.push_str("esac\nexec \"$real\" \"$@\"\n");
    text
}

const FITS: &str = "a string takes all";

/// `claim` finds the first number that nobody has, also where several calls
/// run at once: only one of them can make a folder.
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
complain() { echo "$complaint" >&2; }
flood() { yes "$complaint" | head -c "$1" >&2; }
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
chosen=none
"#;

/// Every cue counts the calls of its command, also those that another one decides.
fn write_choice(text: &mut String, n: usize, cue: &Cue) {
    let is_meant = match cue.call {
        Turn::Every => "true".to_owned(),
        Turn::Nth(nth) => format!("[ $claimed -eq {nth} ]"),
    };
    let command = cue.command;
    writeln!(text, "case $words in '{command} '*)").expect(FITS);
    writeln!(text, "  claim \"$home/count-{n}-\"").expect(FITS);
    writeln!(text, "  if [ $chosen = none ] && {is_meant}; then chosen={n}; fi").expect(FITS);
    writeln!(text, "  ;;\nesac").expect(FITS);
}

/// What happens instead of the real command; ends the script.
fn act(cue: &Cue) -> String {
    let stream = Stream::of(cue.command);
    match cue.does {
        Does::FailsAfter { bytes } => format!("{}complain\nexit 1", stream.take(bytes)),
        Does::DiesAfter { bytes } => format!("{}kill -9 $$", stream.take(bytes)),
        Does::CutsAfter { bytes } => {
            let rest = if stream == Stream::Read { "cat >/dev/null\n" } else { "" };
            format!("{}{rest}exit 0", stream.take(bytes))
        }
        Does::FlipsByteAt { offset } => {
            format!("{}\nexit", stream.through(&format!("flip {offset}")))
        }
        Does::StartsOverAfter { bytes } => {
            assert!(stream == Stream::Written, "only a send can start over: {cue:?}");
            format!("{}exec \"$real\" \"$@\"", stream.take(bytes))
        }
        Does::HangsAfter { bytes } => format!("{}hang {HANG_SECONDS}", stream.take(bytes)),
        Does::IgnoresTermAfter { bytes } => {
            format!("trap '' TERM\n{}hang {HANG_SECONDS}", stream.take(bytes))
        }
        Does::FloodsStderr { after_bytes, flood_bytes, ends } => {
            let flooded = stream.flooded(after_bytes, flood_bytes);
            let end = if ends == Ends::Badly { "exit 1" } else { "exit" };
            format!("{flooded}\n{end}")
        }
        Does::FailsAtTheEnd => "\"$real\" \"$@\"\ncomplain\nexit 1".to_owned(),
    }
}

/// Where the stream of a command is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Written,
    Read,
    None,
}

impl Stream {
    fn of(command: &str) -> Stream {
        match command {
            "send" => Stream::Written,
            "receive" => Stream::Read,
            _ => Stream::None,
        }
    }

    /// The real command, with so much of its stream.
    fn take(self, bytes: u64) -> String {
        if bytes == 0 {
            return String::new();
        }
        self.through(&format!("head -c {bytes}")) + "\n"
    }

    /// The real command, and a filter where its stream goes by.
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
    let path = path.to_str().expect("a name that we chose");
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_quote_stays_one_word() {
        assert_eq!(quoted(Path::new("/a'b c")), r"'/a'\''b c'");
    }
}
