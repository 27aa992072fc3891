#!/usr/bin/env bash
# Ceph RGW 16.2.15: CopyObject with x-amz-copy-source-if-match of another ETag answers 200 and
# copies, and DeleteObject with If-Match of another ETag deletes. GET with the same condition is
# refused.
#
# The S3 reference: 412 if the ETag does not match. A tool that moves an object (copy, then
# delete) while another host replaces it copies one content under the name of the other, or
# deletes what it never saw.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
boto_install "$work/boto"
start_rgw
with_boto >"$work/told" <<'END'
other = '"00000000000000000000000000000000"'
s3.put_object(Bucket="bucket", Key="object", Body=b"content")
print(code("get_object", Key="object", IfMatch=other))
print(code("copy_object", Key="copy", CopySource="bucket/object", CopySourceIfMatch=other))
print(content("copy").decode())
print(code("delete_object", Key="object", IfMatch=other))
print(code("head_object", Key="object"))
END
seen 'GET if it were another' '412 PreconditionFailed' "$(sed -n 1p "$work/told")"
seen 'CopyObject if it were another' 200 "$(sed -n 2p "$work/told")"
seen 'the copy' content "$(sed -n 3p "$work/told")"
seen 'DELETE if it were another' 204 "$(sed -n 4p "$work/told")"
seen 'the object' '404 404' "$(sed -n 5p "$work/told")"
