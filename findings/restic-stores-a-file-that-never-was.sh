#!/usr/bin/env bash
# restic 0.14.0: of a file that is written while it is read, the backup has a beginning and an end
# that never were in it together; nothing is said, and the exit code is 0.
#
# restic's manual, "Exit status codes": 3 if some source data could not be read; a file that
# changes is not mentioned. tar ("file changed as we read it", exit code 1), borg and dar tell of
# the same case. A database that is backed up like this is called safe and may not open. Read from
# a snapshot.
. "$(dirname "$0")/common.sh"

debian_root restic=0.14.0-1+b5
mkdir "$root/source"
file=$root/source/file
head -c 100000000 /dev/urandom >"$file"
export RESTIC_PASSWORD=finder
restic() { chroot "$root" restic --quiet --no-cache --repo /repository "$@"; }
restic init
# Writes one number at the beginning and then at the end, again and again.
cat >"$work/write.py" <<'END'
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY)
n = 0
while True:
    n += 1
    for at in 0, 99_999_000:
        os.pwrite(file, b"%08d" % n, at)
    time.sleep(0.005)
END
start writer python3 "$work/write.py" "$file"
sleep 0.2
seen 'exit code of restic backup' 0 "$(restic backup /source >"$work/told" 2>&1 && echo 0 || echo "$?")"
seen 'what it says' '' "$(cat "$work/told")"
tar --create --file - --directory "$root" source 2>"$work/told" | cat >/dev/null || true
seen 'what tar says' 'tar: source/file: file changed as we read it' "$(cat "$work/told")"
restic restore latest --target /restored
restored=$root/restored/source/file
first=$(head -c 8 "$restored")
last=$(tail -c +99999001 "$restored" | head -c 8)
# The writer puts both within microseconds, so that they differ by one at most.
seen 'numbers in it differ by more than one' yes "$( ((10#$last - 10#$first > 1)) && echo yes || echo no)"
