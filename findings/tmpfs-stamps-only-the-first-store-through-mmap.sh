#!/usr/bin/env bash
# Linux 6.18, tmpfs: only the first store through mmap into a page moves mtime and ctime. None of
# the later ones does, not even after msync, fdatasync and sync.
#
# mmap(2): the time stamps are updated "after a write to the mapped region, and before a
# subsequent msync(2) with the MS_SYNC or MS_ASYNC flag". tmpfs writes nothing back, so that the
# page stays dirty and writable for good. What lets other filesystems tell of the next store
# (fdatasync, see the finding about dirty pages) is without effect here: a mapped file in /dev/shm
# or /tmp has to be hashed to be known.
. "$(dirname "$0")/common.sh"

((EUID == 0)) || { echo 'needs root' >&2; exit 1; }
uname -sr | cut -d - -f 1
mkdir "$work/mount-tmpfs"
mount -t tmpfs tmpfs "$work/mount-tmpfs"
cat >"$work/probe.py" <<'END'
import mmap, os, sys, time
path = sys.argv[1]
with open(path, "wb") as f:
    f.write(b"x" * 4096)
stamps = lambda: (os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns)
moved = []
with open(path, "r+b") as f, mmap.mmap(f.fileno(), 4096) as page:
    for n in range(3):
        before = stamps()
        time.sleep(0.1)
        page[n : n + 1] = b"y"
        page.flush()
        os.fdatasync(f.fileno())
        os.sync()
        moved.append("moved" if stamps() != before else "same")
print(" ".join(moved))
with open(path, "rb") as f:
    print(f.read(4).decode())
END
python3 "$work/probe.py" "$work/mount-tmpfs/file" >"$work/told"
seen 'stamps after three stores, each with msync and fdatasync' 'moved same same' \
  "$(sed -n 1p "$work/told")"
seen 'content' yyyx "$(sed -n 2p "$work/told")"
