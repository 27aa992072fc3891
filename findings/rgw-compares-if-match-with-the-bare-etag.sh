#!/usr/bin/env bash
# Ceph RGW 16.2.15: a PUT with `If-Match` succeeds only with the ETag as it is without quotes. The
# ETag as RGW itself told it, in quotes, is answered with 412.
#
# By the HTTP reference an entity tag is a quoted string, and every client sends back the one that it
# got. A probe that asks only whether a wrong ETag is refused finds RGW perfect; then every real
# conditional write fails as if somebody else had written. GET takes the quoted form.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
echo hello >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
etag=$(header etag)
seen 'its ETag' '"b1946ac92492d2347c6235b4d2611184"' "$etag"
put() { s3 PUT /bucket/object --upload-file "$work/object" --header "If-Match: $1"; }
seen 'PUT on the ETag as it was told' 412 "$(put "$etag")"
seen 'PUT on the ETag without quotes' 200 "$(put "${etag//\"/}")"
seen 'PUT on another ETag' 412 "$(put '"00000000000000000000000000000000"')"
seen 'GET on the ETag as it was told' 200 "$(s3 GET /bucket/object --header "If-Match: $etag")"
