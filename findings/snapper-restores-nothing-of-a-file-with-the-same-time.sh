#!/usr/bin/env bash
# snapper 0.10.4 on btrfs: a file with other content, but the same size and mtime, is in no `status`
# and no `diff` of two snapshots, and `undochange` leaves it as it is, "nothing to do".
#
# snapper(8): status shows the files that were created, modified or deleted, undochange brings them
# back; mtime is not mentioned there. snapper asks btrfs for the difference (`btrfs send`, which
# names the file), and drops from it what has equal size and mtime. Programs that write and put the
# time back (`rsync --times --inplace`, touch --reference), or that replace a file by one of another
# build with the same SOURCE_DATE_EPOCH, change what a rollback with snapper then leaves as it is.
. "$(dirname "$0")/common.sh"

debian_root snapper=0.10.4-1
make_btrfs data
mkdir "$root/data"
mount --bind "$work/mount-data" "$root/data"
data=$root/data
snapper() { chroot "$root" snapper --no-dbus --config data "$@"; }
snapper create-config /data
for name in overwritten replaced later; do echo before >"$data/$name"; done
touch --date '2024-01-01 00:00:00Z' "$data"/{overwritten,replaced,later}
snapper create
echo behind >"$data/overwritten"
echo behind >"$data/temporary"
mv "$data/temporary" "$data/replaced"
echo behind >"$data/later"
touch --date '2024-01-01 00:00:00Z' "$data"/{overwritten,replaced}
snapper create
seen 'what the snapshots have in overwritten' 'before behind' \
  "$(cat "$data"/.snapshots/{1,2}/snapshot/overwritten | xargs)"
seen 'snapper status 1..2' '/data/later' "$(snapper status 1..2 | awk '{print $2}' | xargs)"
seen 'files in snapper diff 1..2' 1 "$(snapper diff 1..2 | grep -c '^+++')"
snapper undochange 1..2 >/dev/null
seen 'after snapper undochange 1..2: overwritten, replaced, later' 'behind behind before' \
  "$(cat "$data"/{overwritten,replaced,later} | xargs)"
