#!/usr/bin/env bash
# s3rver 3.7.1, a server for tests: an upload in unsigned chunks with a trailing checksum, as the
# SDKs of AWS send it over TLS by default, answers 200 and is stored with the lengths of the
# chunks and the checksum in the content.
#
# Who does not know STREAMING-UNSIGNED-PAYLOAD-TRAILER is expected to refuse it (Swift answers
# 501).
. "$(dirname "$0")/common.sh"

npm_install "$work/s3rver" s3rver@3.7.1
start_s3rver
printf 'b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n' >"$work/chunked"
seen 'PUT in chunks' 200 "$(curl --silent --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" \
  --upload-file "$work/chunked" --output "$work/body" --write-out '%{http_code}' \
  --header 'x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER' \
  --header 'x-amz-decoded-content-length: 11' --header 'x-amz-trailer: x-amz-checksum-crc32' \
  --header 'Content-Encoding: aws-chunked' "$endpoint/bucket/object")"
s3 GET /bucket/object >/dev/null
seen 'content' 'b|hello world|0|x-amz-checksum-crc32:DUoRhQ==||' "$(tr -d '\r' <"$work/body" | tr '\n' '|')"
