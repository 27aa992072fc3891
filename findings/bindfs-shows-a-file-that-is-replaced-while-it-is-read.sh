#!/usr/bin/env bash
# bindfs 1.14.7 (libfuse 3.14; sshfs, ntfs-3g, fuse2fs and encfs as well): when a file that
# somebody reads is replaced by rename or deleted, a file .fuse_hidden… with its content appears
# beside it.
#
# rename(2): open descriptors of the old file are not affected, and no other name is mentioned. A
# backup that reads a file while a program saves it in the careful way (write beside it, rename)
# makes that name itself: a scan finds it, a watcher of the directory below is told of it, and the
# bucket fills with old versions under names that mean nothing. It goes when the reader closes it.
. "$(dirname "$0")/common.sh"

debian_root bindfs=1.14.7-1
mkdir "$root/source" "$root/mnt/bound"
bound=$root/mnt/bound
start bindfs chroot "$root" bindfs -f /source /mnt/bound
wait_mounted "$bound"
echo old >"$bound/file"
echo new >"$bound/temporary"
cat >"$work/probe.py" <<'END'
import ctypes, os, sys
folder, source = sys.argv[1:]
watch = ctypes.CDLL(None).inotify_init1(os.O_NONBLOCK)
TO, CREATE = 0x80, 0x100
ctypes.CDLL(None).inotify_add_watch(watch, source.encode(), TO | CREATE)
listed = lambda: " ".join(sorted(n[:12] for n in os.listdir(folder)))
with open(folder + "/file") as reader:
    os.rename(folder + "/temporary", folder + "/file")
    print(listed())
    hidden = [n for n in os.listdir(folder) if n.startswith(".")]
    print(*(open(folder + "/" + n).read().strip() for n in hidden))
    print("told" if b".fuse_hidden" in os.read(watch, 65536) else "not told")
print(listed())
END
python3 "$work/probe.py" "$bound" "$root/source" >"$work/told"
seen 'names while it is read' '.fuse_hidden file' "$(sed -n 1p "$work/told")"
seen 'content of the new name' old "$(sed -n 2p "$work/told")"
seen 'whether a watcher of the directory below is told of it' told "$(sed -n 3p "$work/told")"
seen 'names when it was read' file "$(sed -n 4p "$work/told")"
