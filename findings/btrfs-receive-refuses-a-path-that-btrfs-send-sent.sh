#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: a subvolume with a file whose path has 4,009 bytes is sent, and can
# be received into one directory and not into the next, whose own path is longer by 80 bytes.
#
# The limit of 4,096 bytes is one of a path in a call; nothing says that it holds for the sum of a
# target and what is received. Neither program warns while the stream is made. An operator who lays out a
# restore of a deep tree (mail, node_modules, archives of archives) needs a short path to the
# target.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs source
make_btrfs copy
top=$work/mount-source/top
btrfs subvolume create "$top" >/dev/null
python3 - "$top" <<'END'
import os, sys
os.chdir(sys.argv[1])
for n in range(19):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
with open("f" * 190, "w") as f:
    f.write("content")
END
btrfs subvolume snapshot -r "$top" "$work/mount-source/snapshot" >/dev/null
btrfs send --quiet "$work/mount-source/snapshot" >"$work/stream" && code=0 || code=$?
seen 'exit code of btrfs send' 0 "$code"
receive() {
  (cd "$1" && btrfs receive --quiet . <"$work/stream" >/dev/null 2>"$work/error") && echo 0 || echo "$?"
}
seen 'exit code of btrfs receive at the top' 0 "$(receive "$work/mount-copy")"
mkdir -p "$work/mount-copy/$(printf 'restored%.0s' {1..10})"
seen 'in a directory of 80 bytes' 1 "$(receive "$work/mount-copy/restored"*)"
seen 'reason' 'target path invalid' "$(grep -o 'target path invalid' "$work/error")"
