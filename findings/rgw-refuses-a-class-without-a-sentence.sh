#!/usr/bin/env bash
# Ceph RGW 16.2.15: a storage class that its zone does not have is refused with 400 InvalidArgument
# and no message. So are STANDARD_IA and DEEP_ARCHIVE in a new zone.
#
# Nothing in the answer names the class. A client that reports what the server said reports
# "InvalidArgument"; it has to say what it had asked for. Encryption over plain HTTP is refused in the
# same way, with InvalidRequest; over TLS, and here with rgw_crypt_require_ssl = false, it is accepted
# and ignored.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
echo hello >"$work/object"
put() { s3 PUT /bucket/object --upload-file "$work/object" --header "$1"; }
seen 'PUT as DEEP_ARCHIVE' 400 "$(put 'x-amz-storage-class: DEEP_ARCHIVE')"
seen 'its code' InvalidArgument "$(element Code)"
seen 'its message' '' "$(element Message)"
seen 'PUT with AES256 over HTTP' 400 "$(put 'x-amz-server-side-encryption: AES256')"
seen 'its code' InvalidRequest "$(element Code)"
seen 'its message' '' "$(element Message)"
seen 'PUT with a wrong CRC64NVME' 200 "$(put 'x-amz-checksum-crc64nvme: AAAAAAAAAAA=')"
