#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: a received subvolume has none of the flags of chattr (+C, +i, +a,
# +d and others), neither by protocol 1 nor by 2, and files that were preallocated have no blocks.
# The property `compression` is kept.
#
# btrfs-receive(8): "replicate one or more subvolumes". The image of a virtual machine that was
# NOCOW with all its blocks reserved comes back with copy on write and full of holes: it
# fragments, and the disk may be full in the middle of a write that was reserved for. What was
# immutable can be changed.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs source
make_btrfs copy
top=$work/mount-source/top
btrfs subvolume create "$top" >/dev/null
for flag in C i a d; do
  touch "$top/flag-$flag"
  chattr "+$flag" "$top/flag-$flag"
done
mkdir "$top/compressed"
btrfs property set "$top/compressed" compression zstd
fallocate --length 10485760 "$top/reserved"
btrfs subvolume snapshot -r "$top" "$work/mount-source/snapshot" >/dev/null
flags() { lsattr -d "$1"/flag-* | sed 's/^\([^ ]*\) .*-\(.\)$/\2:\1/; s/:-*\([^-]\)-*$/:\1/; s/:-*$/:/' | paste -sd ' '; }
blocks() { stat --format %b "$1/reserved"; }
seen 'flags in the source' 'C:C a:a d:d i:i' "$(flags "$work/mount-source/snapshot")"
seen 'blocks in the source' 20480 "$(blocks "$work/mount-source/snapshot")"
for proto in 1 2; do
  mkdir "$work/mount-copy/$proto"
  btrfs send --quiet --proto $proto "$work/mount-source/snapshot" |
    btrfs receive --quiet "$work/mount-copy/$proto"
  copy=$work/mount-copy/$proto/snapshot
  seen "flags by protocol $proto" 'C: a: d: i:' "$(flags "$copy")"
  seen "blocks by protocol $proto" 0 "$(blocks "$copy")"
  seen "compression by protocol $proto" compression=zstd \
    "$(btrfs property get "$copy/compressed" compression)"
done
