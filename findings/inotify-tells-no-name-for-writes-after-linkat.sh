#!/usr/bin/env bash
# Linux 6.18: a file that was made with O_TMPFILE and given its name by linkat raises CREATE with that
# name, and no event with that name for what is written later through the same descriptor.
#
# A watcher that waits for CLOSE_WRITE to know that a new file is complete waits in vain, and one that
# uploads on CREATE uploads a part of it.
. "$(dirname "$0")/common.sh"

uname -sr | cut -d - -f 1
mkdir "$work/folder"
cat >"$work/probe.py" <<'END'
import ctypes, os, struct, sys
folder = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
watch = libc.inotify_init1(os.O_NONBLOCK)
MODIFY, CLOSE_WRITE, CREATE = 0x2, 0x8, 0x100
libc.inotify_add_watch(watch, folder.encode(), MODIFY | CLOSE_WRITE | CREATE)
file = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
HERE, FOLLOW = -100, 0x400
if libc.linkat(HERE, f"/proc/self/fd/{file}".encode(), HERE, f"{folder}/named".encode(), FOLLOW):
    sys.exit(os.strerror(ctypes.get_errno()))
os.write(file, b"written after the name was given")
os.close(file)
events, at = os.read(watch, 65536), 0
while at < len(events):
    _, mask, _, length = struct.unpack_from("iIII", events, at)
    name = events[at + 16 : at + 16 + length].rstrip(b"\0").decode()
    kind = {MODIFY: "MODIFY", CLOSE_WRITE: "CLOSE_WRITE", CREATE: "CREATE"}[mask & 0x10a]
    print(kind, "named" if name == "named" else "another-name")
    at += 16 + length
END
seen 'events' 'CREATE named, MODIFY another-name, CLOSE_WRITE another-name' \
  "$(python3 "$work/probe.py" "$work/folder" | paste -sd , - | sed 's/,/, /g')"
seen 'the file' 'written after the name was given' "$(cat "$work/folder/named")"
