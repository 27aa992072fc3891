#!/usr/bin/env bash
# Ceph RGW 16.2.15: an upload in unsigned chunks with a trailing checksum is refused with
# XAmzContentSHA256Mismatch.
#
# The SDKs of AWS send streams over TLS in this way by default since January 2025 (Data integrity
# protections for Amazon S3: request_checksum_calculation "when_supported"). The code reads as
# damage on the way or a wrong key; it is neither, and repeating does not help. It has to be set
# to "when_required". JuiceFS 1.4.2 answers the same, Swift 2.30.1 says 501.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
printf 'b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n' >"$work/chunked"
seen 'PUT in chunks' 400 "$(curl --silent --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" \
  --upload-file "$work/chunked" --output "$work/body" --write-out '%{http_code}' \
  --header 'x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER' \
  --header 'x-amz-decoded-content-length: 11' --header 'x-amz-trailer: x-amz-checksum-crc32' \
  --header 'Content-Encoding: aws-chunked' "$endpoint/bucket/object")"
seen 'its code' XAmzContentSHA256Mismatch "$(element Code)"
printf 'hello world' >"$work/object"
seen 'PUT of the same bytes with the checksum as a header' 200 \
  "$(s3 PUT /bucket/object --upload-file "$work/object" --header 'x-amz-checksum-crc32: DUoRhQ==')"
