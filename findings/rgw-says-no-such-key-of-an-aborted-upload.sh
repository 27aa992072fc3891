#!/usr/bin/env bash
# Ceph RGW 16.2.15: ListParts of an upload that was aborted is answered with NoSuchKey; UploadPart
# and a second abort of the same upload with NoSuchUpload.
#
# The S3 reference: NoSuchUpload, "the upload ID might not be valid, or the multipart upload might
# have been aborted". A client that resumes and begins a new upload at that code does not here,
# and reports a missing object instead.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
echo content >"$work/part"
s3 POST '/bucket/object?uploads=' >/dev/null
id=$(element UploadId)
part() { s3 PUT "/bucket/object?partNumber=1&uploadId=$id" --upload-file "$work/part"; }
seen 'UploadPart' 200 "$(part)"
seen 'AbortMultipartUpload' 204 "$(s3 DELETE "/bucket/object?uploadId=$id")"
seen 'ListParts' '404 NoSuchKey' "$(s3 GET "/bucket/object?uploadId=$id") $(element Code)"
seen 'UploadPart' '404 NoSuchUpload' "$(part) $(element Code)"
seen 'AbortMultipartUpload' '404 NoSuchUpload' \
  "$(s3 DELETE "/bucket/object?uploadId=$id") $(element Code)"
