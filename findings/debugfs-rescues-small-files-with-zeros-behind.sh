#!/usr/bin/env bash
# debugfs of e2fsprogs 1.47.0 (e2cp 0.1.0 as well) and ext4 with inline_data: `rdump`, `dump` and `cat`
# give a file of fewer than 60 bytes in 60, with zeros behind its content.
#
# debugfs(8): dump writes "the contents of the inode" to a file; rdump is what is left when a filesystem
# cannot be mounted. The zeros are the rest of the place in the inode. A key, a lock or a configuration gets
# bytes that were never in it and another checksum, with exit code 0 and no message; the size is in the
# inode, and `stat` of debugfs tells it. Files of 60 bytes and more are right.
. "$(dirname "$0")/common.sh"

debian_root e2fsprogs=1.47.0-2+b2 e2tools=0.1.0-3
truncate --size=64M "$work/image"
mkfs.ext4 -q -F -O inline_data "$work/image"
mkdir "$work/mount-ext4" "$root/restored"
mount -o loop "$work/image" "$work/mount-ext4"
for size in 20 60 100 5000; do
  head -c "$size" /dev/zero | tr '\0' x >"$work/mount-ext4/$size"
done
umount "$work/mount-ext4"
cp "$work/image" "$root/image"
code=0
chroot "$root" debugfs -R 'rdump / /restored' /image >"$work/told" 2>&1 || code=$?
seen 'exit code of rdump' 0 "$code"
rescued() { echo "$(tr -d '\0' <"$root/restored/$1" | wc -c) $(tr -d x <"$root/restored/$1" | wc -c)"; }
for size in 20:40 60:0 100:0 5000:0; do
  seen "file of ${size%:*}: bytes of the content, zeros behind" "${size/:/ }" "$(rescued "${size%:*}")"
done
seen 'the file of 20, by cat: bytes' 60 \
  "$(chroot "$root" debugfs -R 'cat /20' /image 2>/dev/null | wc -c)"
chroot "$root" e2cp /image:/20 /copied
seen 'the file of 20, by e2cp: bytes' 60 "$(stat --format %s "$root/copied")"
seen 'its size in the inode' 20 \
  "$(chroot "$root" debugfs -R 'stat /20' /image 2>/dev/null | sed -n 's/.* Size: //p' | head -n 1)"
