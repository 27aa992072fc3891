#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: a `btrfs send` that is stopped and continued in mid-stream writes a
# second stream into the first one, and exits with 0.
#
# A program that stops at SIGSTOP (or in a frozen cgroup) goes on as if nothing had been, says
# signal(7). This one waits in an ioctl for its pipe; the ioctl is restarted from the beginning,
# so that a broken-off stream is followed by a whole one. `btrfs receive` refuses the sum, long
# after the backup was called good by its exit code: a backup that trusts that code alone, on a
# host that suspends or in a container that is paused, keeps what nothing can restore.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs source
make_btrfs copy
btrfs subvolume create "$work/mount-source/top" >/dev/null
head -c 25165824 /dev/urandom >"$work/mount-source/top/file"
btrfs subvolume snapshot -r "$work/mount-source/top" "$work/mount-source/snapshot" >/dev/null
btrfs send --quiet "$work/mount-source/snapshot" >"$work/whole"

mkfifo "$work/pipe"
btrfs send --quiet "$work/mount-source/snapshot" >"$work/pipe" &
sender=$!
pids+=("$sender")
exec 7<"$work/pipe"
head -c 4194304 <&7 >"$work/continued"
sleep 0.5
kill -STOP "$sender"
sleep 0.5
kill -CONT "$sender"
cat <&7 >>"$work/continued"
exec 7<&-
wait "$sender" && code=0 || code=$?
seen 'exit code of btrfs send' 0 "$code"
magics() { grep --only-matching --text btrfs-stream "$1" | wc -l; }
seen 'beginnings in the stream that was left alone' 1 "$(magics "$work/whole")"
seen 'beginnings in the stream that was continued' 2 "$(magics "$work/continued")"
receive() { btrfs receive --quiet "$work/mount-copy" <"$1" 2>/dev/null && echo taken || echo refused; }
seen 'the stream that was continued' refused "$(receive "$work/continued")"
btrfs subvolume delete "$work/mount-copy/snapshot" >/dev/null
seen 'the stream that was left alone' taken "$(receive "$work/whole")"
