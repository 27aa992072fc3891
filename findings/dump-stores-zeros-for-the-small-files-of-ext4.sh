#!/usr/bin/env bash
# dump 0.4b47 and ext4 with inline_data (Linux 6.18): files of up to about 100 bytes are restored as
# zeros, in their right length; dump and restore exit with 0.
#
# dump(8): it reads ext2, ext3 and ext4, and "all files" of the filesystem are in level 0. With
# inline_data, a feature of ext4 since Linux 3.8, the content of a small file lies in its inode, where
# dump does not look; it names no feature that it does not know. Configuration files, locks, keys
# and tokens are of that size. `restore` prints "Unknown EA index" for each, which is not about
# content; a file of 200 bytes is right.
. "$(dirname "$0")/common.sh"

debian_root dump=0.4b47-4
truncate --size=64M "$work/image"
mkfs.ext4 -q -F -O inline_data "$work/image"
mkdir "$work/mount-ext4" "$root/restored"
mount -o loop "$work/image" "$work/mount-ext4"
for size in 1 60 100 200 5000; do
  head -c "$size" /dev/zero | tr '\0' x >"$work/mount-ext4/$size"
done
umount "$work/mount-ext4"
mount -o loop,ro "$work/image" "$work/mount-ext4"
device=$(findmnt --noheadings --output SOURCE "$work/mount-ext4")
code=0
chroot "$root" dump -0 -f /dump "$device" >"$work/dump.log" 2>&1 || code=$?
seen 'exit code of dump' 0 "$code"
chroot "$root" bash -c 'cd /restored && restore -r -f /dump' >"$work/restore.log" 2>&1 || code=$?
seen 'exit code of restore' 0 "$code"
for size in 1 60 100; do
  seen "file of $size: bytes restored, of them zeros" "$size $size" \
    "$(stat --format %s "$root/restored/$size") $(tr -d x <"$root/restored/$size" | wc -c)"
done
for size in 200 5000; do
  seen "file of $size: the same" "$size 0" \
    "$(stat --format %s "$root/restored/$size") $(tr -d x <"$root/restored/$size" | wc -c)"
done
