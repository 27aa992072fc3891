#!/usr/bin/env bash
# Ceph RGW 16.2.15: `If-None-Match: *` is honoured on PUT and ignored on CompleteMultipartUpload,
# whose answer has an empty ETag.
#
# A client that found the condition to work with a PUT, and relies on it for long objects as well,
# overwrites them. And one that records the ETag of the answer records nothing: HEAD tells it.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
echo first >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
seen 'PUT over it, only if none is there' 412 \
  "$(s3 PUT /bucket/object --upload-file "$work/object" --header 'If-None-Match: *')"
s3 POST '/bucket/object?uploads=' >/dev/null
upload=$(element UploadId)
echo second >"$work/object"
s3 PUT "/bucket/object?partNumber=1&uploadId=$upload" --upload-file "$work/object" >/dev/null
printf '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>' \
  "$(header etag)" >"$work/complete"
seen 'CompleteMultipartUpload, only if none is there' 200 \
  "$(s3 POST "/bucket/object?uploadId=$upload" --data-binary "@$work/complete" \
    --header 'If-None-Match: *')"
seen 'ETag in its answer' '' "$(element ETag)"
s3 GET /bucket/object >/dev/null
seen 'content' second "$(cat "$work/body")"
s3 HEAD /bucket/object >/dev/null
seen 'whether HEAD tells an ETag' yes "$([[ $(header etag) ]] && echo yes || echo no)"
