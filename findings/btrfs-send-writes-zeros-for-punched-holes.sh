#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: after 10 MiB of a file are punched out, the incremental stream of
# protocol 1, which is the default, has 10 MB of zeros; so it is for a file that is cut short and
# made longer again. Protocol 2 has a command for holes and needs a few hundred bytes.
#
# Freed space is expected to make a backup smaller. `fstrim` in a virtual machine, whose image
# lies on btrfs, is the case from life: each week the incremental is as large as what was freed,
# and the received file has no hole there. btrfs-send(8) says of protocol 2 only that it "encodes
# file data slightly more efficiently".
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs data
make_btrfs copy
cd "$work/mount-data"
btrfs subvolume create top >/dev/null
head -c 20971520 /dev/urandom >top/file
snapshot() { sync; btrfs subvolume snapshot -r top "$1" >/dev/null; }
class() { (($1 > 10000000)) && echo 'more than 10 MB' || { (($1 < 10000)) && echo 'less than 10 KB'; }; }
stream() { class "$(btrfs send --quiet --proto "$1" -p "$2" "$3" | wc -c)"; }
snapshot before
fallocate --punch-hole --offset 1048576 --length 10485760 top/file
snapshot punched
seen 'punched hole, protocol 1' 'more than 10 MB' "$(stream 1 before punched)"
seen 'punched hole, protocol 2' 'less than 10 KB' "$(stream 2 before punched)"
truncate --size 5M top/file
truncate --size 20M top/file
snapshot cut
seen 'cut to 5 MiB and made longer, protocol 1' 'more than 10 MB' "$(stream 1 punched cut)"
seen 'cut to 5 MiB and made longer, protocol 2' 'less than 10 KB' "$(stream 2 punched cut)"
for each in before '-p before punched'; do
  # shellcheck disable=SC2086
  btrfs send --quiet --proto 1 $each | btrfs receive --quiet "$work/mount-copy"
done
used() { sync; stat --format %b "$1"; }
seen 'blocks of the file with the hole' 20480 "$(used punched/file)"
seen 'blocks of the file that was received' 40960 "$(used "$work/mount-copy/punched/file")"
cd /
