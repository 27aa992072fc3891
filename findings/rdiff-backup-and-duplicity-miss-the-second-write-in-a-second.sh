#!/usr/bin/env bash
# rdiff-backup 2.2.2 and duplicity 0.8.22: of a file that is written again, with the same length,
# within the second of its mtime in the last backup, no later backup has the content; `rdiff-backup
# verify` and `compare` find no difference.
#
# Both keep mtime in whole seconds, compare it and the size, and look at neither the rest of the
# mtime nor ctime; their manuals do not say so (rsync's does). A backup that reads a file just
# written, a state or a counter of fixed length, keeps the old one for as long as the new one stays:
# every run says that nothing has changed. Both were told the truth by the filesystem.
. "$(dirname "$0")/common.sh"

debian_root rdiff-backup=2.2.2-1 duplicity=0.8.22-1+b3
mkdir "$root/source"
file=$root/source/file
rdiff() { chroot "$root" rdiff-backup "$@" >"$work/told" 2>&1; }
duplicity() { chroot "$root" duplicity --no-encryption "$@" >"$work/told" 2>&1; }
# Both writes are in one second, and the backups of the first one too, as the clock of the files
# tells it; the backups take longer here, so that the times are set.
echo first >"$file"
touch --date '2024-01-01 00:00:00.2Z' "$file"
rdiff backup /source /rdiff
duplicity full /source file:///duplicity
sleep 2
echo other >"$file"
touch --date '2024-01-01 00:00:00.7Z' "$file"
rdiff backup /source /rdiff
seen 'rdiff-backup, the copy after the second backup' first "$(cat "$root/rdiff/file")"
seen 'exit code of its verify' 0 "$(rdiff verify /rdiff && echo 0 || echo "$?")"
seen 'exit code of its compare' 0 "$(rdiff compare /source /rdiff && echo 0 || echo "$?")"
seen 'exit code of its compare --method hash' 1 \
  "$(rdiff compare --method hash /source /rdiff && echo 0 || echo "$?")"
duplicity incremental /source file:///duplicity
seen 'duplicity, changed files in the second backup' 0 "$(sed -n 's/^ChangedFiles //p' "$work/told")"
duplicity restore file:///duplicity /restored
seen 'what it restores' first "$(cat "$root/restored/file")"
