#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: a subvolume with an xattr of 20,000 bytes is sent without a word
# from a filesystem with nodes of 64 KiB, and no filesystem made with the defaults can receive it.
#
# An xattr has to fit into a node: 64 KiB nodes were the default of mkfs.btrfs on machines with 64
# KiB pages (mkfs.btrfs(8), -n), 16 KiB is it elsewhere. The stream does not tell the node size.
# The backup is sound and cannot be restored to an ordinary disk: keep the node size beside it,
# and make the target with it.
. "$(dirname "$0")/common.sh"

say_versions
((EUID == 0)) || { echo 'needs root' >&2; exit 1; }
truncate --size=512M "$work/large.img"
mkfs.btrfs --quiet --nodesize 65536 "$work/large.img" >/dev/null
mkdir "$work/mount-large"
mount -o loop "$work/large.img" "$work/mount-large"
make_btrfs default
top=$work/mount-large/top
btrfs subvolume create "$top" >/dev/null
echo content >"$top/file"
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.long", b"x" * 20000)' "$top/file"
btrfs subvolume snapshot -r "$top" "$work/mount-large/snapshot" >/dev/null
btrfs send --quiet "$work/mount-large/snapshot" >"$work/stream" && code=0 || code=$?
seen 'exit code of btrfs send' 0 "$code"
mkdir "$work/mount-large/received"
receive() {
  btrfs receive --quiet "$1" <"$work/stream" 2>"$work/error" && echo 0 || echo "$?"
}
seen 'exit code of btrfs receive, nodes of 64 KiB' 0 "$(receive "$work/mount-large/received")"
seen 'exit code of btrfs receive, nodes of 16 KiB' 1 "$(receive "$work/mount-default")"
seen 'reason' 'No space left on device' "$(sed -n 's/.*failed: //p' "$work/error")"
