#!/usr/bin/env bash
# Linux 6.18, ext4, xfs and btrfs: a store through mmap into a page that is already dirty changes
# neither mtime nor ctime until the page is written back, which may take 30 seconds.
#
# Size, mtime, ctime and inode stay the same while the content changes: a program that recorded them after
# the first store takes the file for unchanged. `fdatasync`, also on a descriptor that was opened for
# reading, writes the page back and protects it again, so that the next store moves the stamps.
. "$(dirname "$0")/common.sh"

((EUID == 0)) || { echo 'needs root' >&2; exit 1; }
uname -sr | cut -d - -f 1
cat >"$work/probe.py" <<'END'
import mmap, os, sys, time
path = sys.argv[1]
with open(path, "wb") as f:
    f.write(b"x" * 4096)
os.sync()
stamps = lambda: (os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns)
with open(path, "r+b") as f, mmap.mmap(f.fileno(), 4096) as page:
    page[0:1] = b"1"
    first = stamps()
    time.sleep(1.1)
    page[0:1] = b"2"
    second = stamps()
    reader = os.open(path, os.O_RDONLY)
    os.fdatasync(reader)
    time.sleep(1.1)
    page[0:1] = b"3"
    third = stamps()
print("same" if first == second else "moved", "same" if second == third else "moved")
END
for filesystem in ext4 xfs btrfs; do
  truncate --size=512M "$work/$filesystem.img"
  "mkfs.$filesystem" -q "$work/$filesystem.img" >/dev/null
  mkdir "$work/mount-$filesystem"
  mount -o loop "$work/$filesystem.img" "$work/mount-$filesystem"
  seen "$filesystem: stamps after a second store, and after one that follows fdatasync" 'same moved' \
    "$(python3 "$work/probe.py" "$work/mount-$filesystem/file")"
done
