#!/usr/bin/env bash
# Linux 6.18, btrfs-progs 6.2: FIDEDUPERANGE (duperemove, bees, xfs_io) works on files of a read-only
# snapshot, and changes the transaction by which `btrfs send` names the snapshot.
#
# The content stays the same, and so does the UUID. But an incremental that was prepared for the
# snapshot as it was no longer names its parent: `btrfs receive` searches by UUID and ctransid. A tool
# that guards its parents by ctransid sees a changed snapshot although its content is the same.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs data
cd "$work/mount-data"
btrfs subvolume create live >/dev/null
head -c 1048576 /dev/zero | tr '\0' x >live/one
cp --reflink=never live/one live/two
sync
btrfs subvolume snapshot -r live snapshot >/dev/null
named() {
  sync
  btrfs send --quiet --no-data snapshot | btrfs receive --dump |
    sed -n 's/.*uuid=\([^ ]*\) transid=\([0-9]*\).*/\1 \2/p' | head -n 1
}
content() { cat snapshot/one snapshot/two | sha256sum; }
read -r uuid before <<<"$(named)"
content_before=$(content)
xfs_io -r -c 'dedupe snapshot/one 0 0 1048576' snapshot/two >/dev/null
read -r uuid_after after <<<"$(named)"
seen 'UUID is the same' yes "$([[ $uuid == "$uuid_after" ]] && echo yes || echo no)"
seen 'content is the same' yes "$([[ $content_before == "$(content)" ]] && echo yes || echo no)"
seen 'ctransid is higher' yes "$( ((after > before)) && echo yes || echo no)"
seen 'still read-only' ro=true "$(btrfs property get snapshot ro)"
cd /
