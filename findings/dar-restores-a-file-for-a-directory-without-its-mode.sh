#!/usr/bin/env bash
# dar 2.7.8: where a directory became a file between a full and its differential, the restore of
# both gives the file the mode 0700 and the time of the restore; "1 inode(s) restored", exit code 0.
#
# dar(1): modes and times are restored; a chain is restored archive by archive. The directory of
# the full is replaced, its content is gone as it should be, and the file has the right bytes. But
# what was 0640 for a group cannot be read by it any more, and is a program for its owner; a comparison
# by time sends it again. Restored alone, into an empty place, the same file is right.
. "$(dirname "$0")/common.sh"

debian_root dar=2.7.8-2+b9
mkdir -p "$root"/finder/{source/name,chain,alone}
echo inside >"$root/finder/source/name/inside"
dar() { chroot "$root" dar -Q "$@" >"$work/told" 2>&1; }
dar -c /finder/full -R /finder/source
rm -r "$root/finder/source/name"
echo content >"$root/finder/source/name"
echo other >"$root/finder/source/new"
chmod 0640 "$root"/finder/source/{name,new}
touch --date '2020-01-01 00:00:00Z' "$root"/finder/source/{name,new}
dar -c /finder/differential -A /finder/full -R /finder/source
dar -x /finder/full -R /finder/chain -w
code=0
dar -x /finder/differential -R /finder/chain -w || code=$?
seen 'exit code of the second restore' 0 "$code"
seen 'inodes that failed' ' 0 inode(s) failed to restore (filesystem error)' \
  "$(grep 'failed to restore' "$work/told")"
dar -x /finder/differential -R /finder/alone -w
told() { echo "$(cat "$root/finder/$1") $(TZ=UTC stat --format '%a %y' "$root/finder/$1" | cut -d - -f 1)"; }
seen 'the file in the source: content, mode, year' 'content 640 2020' "$(told source/name)"
seen 'restored alone' 'content 640 2020' "$(told alone/name)"
seen 'restored by the chain' "content 700 $(date +%Y)" "$(told chain/name)"
seen 'a new file, by the chain' 'other 640 2020' "$(told chain/new)"
