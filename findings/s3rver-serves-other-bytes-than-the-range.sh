#!/usr/bin/env bash
# s3rver 3.7.1, a server for tests: the range bytes=0-0 gives the whole object, and the last three
# bytes (bytes=-3) the first four.
#
# RFC 9110, 14.1.2: the first is one byte, the second the end of the object. Code that reads a
# footer or probes with one byte cannot be tested with it: right code fails, and wrong code that
# skips the rest of a long answer passes.
. "$(dirname "$0")/common.sh"

npm_install "$work/s3rver" s3rver@3.7.1
start_s3rver
printf 'hello world' >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
range() { s3 GET /bucket/object --header "Range: bytes=$1" >/dev/null; cat "$work/body"; }
seen 'bytes=6-10' world "$(range 6-10)"
seen 'bytes=0-0' 'hello world' "$(range 0-0)"
seen 'its Content-Range' 'bytes 0-10/11' "$(header content-range)"
seen 'bytes=-3' hell "$(range -3)"
seen 'its Content-Range' 'bytes 0-3/11' "$(header content-range)"
