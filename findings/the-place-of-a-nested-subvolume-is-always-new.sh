#!/usr/bin/env bash
# Linux 6.18, btrfs: in a read-only snapshot, the empty directory that stands where a subvolume was
# nested has the present as its mtime and ctime, each time that it is looked up.
#
# Nothing in a read-only snapshot is expected to change. A program that backs it up by time stamps finds this
# directory changed at each run, and with the clock of now instead of the source's. It is on a device
# number of its own (a walk that stays on one filesystem stops there), has inode 2 wherever it is and
# no birth time. `btrfs send` leaves it out, and what is received has no such directory at all.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs data
make_btrfs copy
cd "$work/mount-data"
btrfs subvolume create top >/dev/null
btrfs subvolume create top/nested >/dev/null
btrfs subvolume snapshot -r top snapshot >/dev/null
look() { stat --format "$1" snapshot/nested; }
first=$(look '%.Y %.Z')
sleep 1.1
second=$(look '%.Y %.Z')
seen 'mtime and ctime a second later' changed \
  "$([[ $first == "$second" ]] && echo 'the same' || echo changed)"
seen 'inode, birth time' '2 -' "$(look '%i %w')"
seen 'device of the directory and of the snapshot' differ \
  "$([[ $(look %d) == "$(stat --format %d snapshot)" ]] && echo equal || echo differ)"
btrfs send --quiet snapshot | btrfs receive --quiet "$work/mount-copy"
seen 'what is in the received snapshot' '' "$(ls -A "$work/mount-copy/snapshot")"
cd /
