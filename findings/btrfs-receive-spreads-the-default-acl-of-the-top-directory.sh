#!/usr/bin/env bash
# btrfs-progs 6.2 (6.14 and 7.3 as well), Linux 6.18: a received subvolume has ACLs that its source
# has not, when the top directory of the source has a default ACL.
#
# `btrfs receive` applies the xattrs of the top directory first, and makes every new file in that directory
# before it renames it to its place: so each inherits the default ACL, and the stream, which says what
# a file has, never says what it has not. The copy grants more than the source. The same happens with
# the property `compression`.
. "$(dirname "$0")/common.sh"

say_versions
make_btrfs source
make_btrfs copy
top=$work/mount-source/top
btrfs subvolume create "$top" >/dev/null
install -m 640 /dev/null "$top/file"
setfacl --default --modify user:33:rwx "$top"
btrfs subvolume snapshot -r "$top" "$work/mount-source/snapshot" >/dev/null
btrfs send --quiet "$work/mount-source/snapshot" | btrfs receive --quiet "$work/mount-copy"
acl() { getfacl --omit-header --numeric --absolute-names --no-effective "$1" | paste -sd , -; }
seen 'ACL in the source' 'user::rw-,group::r--,other::---,' "$(acl "$work/mount-source/snapshot/file")"
seen 'ACL in the copy' 'user::rw-,user:33:rwx,group::r-x,mask::r--,other::---,' \
  "$(acl "$work/mount-copy/snapshot/file")"
