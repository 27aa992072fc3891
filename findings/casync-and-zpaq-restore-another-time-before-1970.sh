#!/usr/bin/env bash
# casync 2 (20201210) and zpaq 7.15: a file whose mtime is in June 1960 comes back from casync with
# one in December 2544, from zpaq with one in December 1960; all four commands exit with 0.
#
# casync(1): time stamps are kept in nanoseconds unless asked otherwise; zpaq(1): last-modified dates are
# saved. casync keeps them without a sign, so that what is before 1970 wraps around; zpaq counts
# months wrongly there. Scans that carry the date of the original have such times. In a copy that
# compares times such a file of 2544 is newer than all that follows, and never replaced.
. "$(dirname "$0")/common.sh"

debian_root casync=2+20201210-1+b1 zpaq=7.15+repack-1
mkdir -p "$root/source"
for year in 1960 1970 2024; do touch --date "$year-06-01 00:00:00Z" "$root/source/$year"; done
dates() { TZ=UTC stat --format %y "$1"/* | cut -d ' ' -f 1 | xargs; }
quiet() { chroot "$root" "$@" >"$work/told" 2>&1 && echo 0 || echo "$?"; }
seen 'on the disk' '1960-06-01 1970-06-01 2024-06-01' "$(dates "$root/source")"
seen 'exit code of casync make' 0 "$(quiet casync make /archive.catar /source)"
seen 'exit code of casync extract' 0 "$(quiet casync extract /archive.catar /by-casync)"
seen 'extracted by casync' '2544-12-19 1970-06-01 2024-06-01' "$(dates "$root/by-casync")"
seen 'exit code of zpaq add' 0 "$(quiet zpaq add /archive.zpaq /source)"
seen 'exit code of zpaq extract' 0 "$(quiet zpaq extract /archive.zpaq /source -to /by-zpaq)"
seen 'extracted by zpaq' '1960-12-14 1970-06-01 2024-06-01' "$(dates "$root/by-zpaq")"
