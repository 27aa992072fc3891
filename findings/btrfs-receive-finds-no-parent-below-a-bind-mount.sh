#!/usr/bin/env bash
# btrfs-progs 6.2, Linux 6.18: below a bind mount of a plain directory (a volume of Docker or LXC),
# `btrfs receive` takes a full and fails at the first incremental, though the parent lies beside it.
#
# The parent is found by UUID, which gives its path from the root of the filesystem; opened below the
# mount, that path does not exist. So the failure comes after hours of receiving the full, at every
# try. The same directory by its own path on the filesystem works.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs source
make_btrfs copy
cd "$work/mount-source"
btrfs subvolume create live >/dev/null
echo 1 >live/file
btrfs subvolume snapshot -r live first >/dev/null
echo 2 >live/file
btrfs subvolume snapshot -r live second >/dev/null
btrfs send --quiet first >"$work/full"
btrfs send --quiet -p first second >"$work/incremental"
cd /
mkdir -p "$work/mount-copy/volume" "$work/mount-volume"
mount --bind "$work/mount-copy/volume" "$work/mount-volume"
receive() {
  btrfs receive --quiet "$2" <"$work/$1" >"$work/out" 2>&1 && echo received || echo failed
}
seen 'full, below the bind mount' received "$(receive full "$work/mount-volume")"
seen 'incremental, below the bind mount' failed "$(receive incremental "$work/mount-volume")"
seen 'incremental, by the path on the filesystem' received \
  "$(receive incremental "$work/mount-copy/volume")"
