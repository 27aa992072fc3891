#!/usr/bin/env bash
# Linux 6.18: what is written to a file through a loop device raises no inotify event for the
# file, though its mtime and ctime move.
#
# inotify(7) names mmap, msync and munmap as what it does not report, and network filesystems; a
# loop device is not among them. The image of a disk that is mounted, or that a container engine
# or a virtual machine holds by a loop device, changes for months without a word to the watcher:
# only a scan that compares time stamps finds it.
. "$(dirname "$0")/common.sh"

((EUID == 0)) || { echo 'needs root' >&2; exit 1; }
uname -sr | cut -d - -f 1
cat >"$work/probe.py" <<'END'
import ctypes, os, subprocess, sys
folder, command = sys.argv[1:]
watch = ctypes.CDLL(None).inotify_init1(os.O_NONBLOCK)
MODIFY, CLOSE_WRITE = 0x2, 0x8
ctypes.CDLL(None).inotify_add_watch(watch, folder.encode(), MODIFY | CLOSE_WRITE)
stamps = lambda: (os.stat(folder + "/image").st_mtime_ns, os.stat(folder + "/image").st_ctime_ns)
before = stamps()
subprocess.run(command, shell=True, check=True)
try:
    told = len(os.read(watch, 65536)) > 0
except BlockingIOError:
    told = False
print("events" if told else "no event", "same" if stamps() == before else "moved", sep=", ")
END
mkdir "$work/folder"
image=$work/folder/image
truncate --size=16M "$image"
sleep 0.1
probe() { python3 "$work/probe.py" "$work/folder" "$1"; }
write() { echo "dd if=/dev/urandom of=$1 bs=4096 count=4 conv=notrunc,fsync status=none"; }
seen 'write to the file' 'events, moved' "$(probe "$(write "$image")")"
for direct in off on; do
  device=$(losetup --find --show --direct-io="$direct" "$image")
  seen "write through a loop device, direct I/O $direct" 'no event, moved' \
    "$(probe "$(write "$device")")"
  losetup --detach "$device"
done
