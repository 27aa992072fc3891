#!/usr/bin/env bash
# dump 0.4b47 and ext4 (Linux 6.18): of a file whose blocks were reserved with fallocate and not
# written yet, the restored copy has the content of files that were deleted before, where the file has
# zeros.
#
# fallocate(2): what was reserved reads as zeros. ext4 marks such blocks as unwritten; dump reads the
# disk below and does not heed the mark. Databases, journals and images of machines reserve
# ahead and go by the zeros to find their end: the restored one ends in something else, with exit code 0.
# debugfs and the kernel give the zeros.
. "$(dirname "$0")/common.sh"

debian_root dump=0.4b47-4
truncate --size=64M "$work/image"
mkfs.ext4 -q -F "$work/image"
mkdir "$work/mount-ext4" "$root/restored"
mount -o loop "$work/image" "$work/mount-ext4"
# Fills most of the disk, so that what is reserved next lies where this was.
(yes deleted || true) | head -c 40000000 >"$work/mount-ext4/before"
sync --file-system "$work/mount-ext4"
rm "$work/mount-ext4/before"
sync --file-system "$work/mount-ext4"
fallocate --length 30000000 "$work/mount-ext4/file"
printf content | dd of="$work/mount-ext4/file" conv=notrunc status=none
umount "$work/mount-ext4"
mount -o loop,ro "$work/image" "$work/mount-ext4"
device=$(findmnt --noheadings --output SOURCE "$work/mount-ext4")
code=0
chroot "$root" dump -0 -f /dump "$device" >"$work/dump.log" 2>&1 || code=$?
seen 'exit code of dump' 0 "$code"
chroot "$root" bash -c 'cd /restored && restore -r -f /dump' >"$work/restore.log" 2>&1 || code=$?
seen 'exit code of restore' 0 "$code"
lines() { tr '\0' '\n' <"$1" | grep --text --count "^$2" || true; }
seen 'the file: bytes, lines of the deleted one' '30000000 0' \
  "$(stat --format %s "$work/mount-ext4/file") $(lines "$work/mount-ext4/file" deleted)"
seen 'the copy: bytes' 30000000 "$(stat --format %s "$root/restored/file")"
seen 'more than 100,000 lines of the deleted one in it' yes \
  "$( (($(lines "$root/restored/file" deleted) > 100000)) && echo yes || echo no)"
