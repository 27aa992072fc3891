#!/usr/bin/env bash
# OpenStack Swift 2.30.1 with s3api: UploadPart refuses numbers above 1,000, where S3 takes 10,000, and
# DeleteObjects refuses a batch without Content-MD5.
#
# A client that plans with the limits of S3 finds out after a thousand parts; /info of Swift tells
# `max_upload_part_num`. The AWS SDKs send a CRC32 instead of Content-MD5 since 2025.
. "$(dirname "$0")/common.sh"

debian_root swift-proxy=2.30.1-0+deb12u3 swift-account=2.30.1-0+deb12u3 \
  swift-container=2.30.1-0+deb12u3 swift-object=2.30.1-0+deb12u3 memcached
start_swift
echo hello >"$work/object"
s3 POST '/bucket/object?uploads=' >/dev/null
upload=$(element UploadId)
part() { s3 PUT "/bucket/object?partNumber=$1&uploadId=$upload" --upload-file "$work/object"; }
seen 'part 1000' 200 "$(part 1000)"
seen 'part 1001' 400 "$(part 1001)"
seen 'its message' 'Part number must be an integer between 1 and 1000, inclusive' "$(element Message)"
printf '<Delete><Object><Key>object</Key></Object></Delete>' >"$work/batch"
batch() { s3 POST '/bucket?delete=' --data-binary "@$work/batch" "$@"; }
seen 'DeleteObjects without Content-MD5' 400 "$(batch)"
seen 'its code' InvalidRequest "$(element Code)"
md5=$(openssl md5 -binary "$work/batch" | base64)
seen 'DeleteObjects with it' 200 "$(batch --header "Content-MD5: $md5")"
