#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: 1,100 reflinks of one file of 1 MiB take 1 MiB on the disk and make
# a stream of 1.1 GB; 1,000 reflinks make one of 1.4 MB.
#
# "The entire snapshot data and metadata will end up in the stream" of a full, says btrfs-send(8): once,
# one expects, and so it is up to 1,024 references to an extent. Beyond them the kernel clones no more
# and writes the data for each file. A backup of deduplicated directories (mail, CI caches, images of
# machines) costs a thousand times what is stored, with every full backup again, and does not fit on the disk
# that it came from. Nothing is said: compare the space that is used with the length of the stream.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs data
cd "$work/mount-data"
btrfs subvolume create top >/dev/null
head -c 1048576 /dev/urandom >top/first
sync
sent() {
  local n
  for ((n = 1; n <= $1; n++)); do
    [[ -e top/$n ]] || cp --reflink=always top/first "top/$n"
  done
  btrfs subvolume snapshot -r top "with-$1" >/dev/null
  btrfs send --quiet "with-$1" | wc -c
}
size() { (($1 > 1000000000)) && echo 'more than 1 GB' || { (($1 < 2000000)) && echo 'less than 2 MB'; }; }
seen 'stream with 1,000 reflinks' 'less than 2 MB' "$(size "$(sent 1000)")"
seen 'stream with 1,100 reflinks' 'more than 1 GB' "$(size "$(sent 1100)")"
seen 'bytes on the disk in data extents, less than 2 MB' yes \
  "$( (($(btrfs filesystem df --raw . | sed -n 's/^Data.*used=//p') < 2000000)) && echo yes || echo no)"
cd /
