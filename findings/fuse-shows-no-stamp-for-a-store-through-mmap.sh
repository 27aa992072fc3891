#!/usr/bin/env bash
# bindfs 1.14.7 and mergerfs 2.33.5 (Linux 6.18; sshfs as well): no store through mmap moves mtime or
# ctime, not even the first one into a page, until the page is written back or msync is called.
#
# On ext4, xfs, btrfs and tmpfs the first store into a clean page moves both stamps at once. A
# filesystem in user space learns of the store when the kernel writes the page back, up to half a
# minute later: until then readers of the mount get the new content under the old stamps, and
# readers of the directory below get the old content. A scan that compares stamps in that time takes
# the file for unchanged.
. "$(dirname "$0")/common.sh"

debian_root bindfs=1.14.7-1 mergerfs=2.33.5-1
mkdir "$root/source" "$root/mnt/bindfs" "$root/mnt/mergerfs"
cat >"$work/probe.py" <<'END_OF_PROBE'
import mmap, os, sys, time
path, below = sys.argv[1:]
with open(path, "wb") as f:
    f.write(b"x" * 4096)
os.sync()
time.sleep(1.1)
stamps = lambda: (os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns)
first = lambda name: open(name, "rb").read(1).decode()
with open(path, "r+b") as f, mmap.mmap(f.fileno(), 4096) as page:
    before = stamps()
    page[0:1] = b"1"
    time.sleep(1.1)
    print("same" if stamps() == before else "moved", first(below))
    reader = os.open(path, os.O_RDONLY)
    os.fdatasync(reader)
    time.sleep(1.1)
    print("same" if stamps() == before else "moved", first(below))
END_OF_PROBE
for filesystem in bindfs mergerfs; do
  options=attr_timeout=0
  # By default it keeps 4 GiB free.
  [[ $filesystem != mergerfs ]] || options+=,minfreespace=0
  mount=$root/mnt/$filesystem
  start "$filesystem" chroot "$root" "$filesystem" -f -o "$options" /source "/mnt/$filesystem"
  wait_mounted "$mount"
  python3 "$work/probe.py" "$mount/file-$filesystem" "$root/source/file-$filesystem" >"$work/told"
  seen "$filesystem: stamps after the first store, content in the directory below" 'same x' \
    "$(sed -n 1p "$work/told")"
  seen "$filesystem: after fdatasync on a descriptor for reading" 'moved 1' \
    "$(sed -n 2p "$work/told")"
  umount "$mount"
done
