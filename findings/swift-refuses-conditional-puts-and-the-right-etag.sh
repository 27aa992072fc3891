#!/usr/bin/env bash
# OpenStack Swift 2.30.1 with s3api: a PUT with `If-None-Match` or `If-Match` is answered with 501. A
# CompleteMultipartUpload honours `If-None-Match`, and answers 412 to `If-Match` with the right ETag.
#
# A client that takes 412 for "the object was changed" believes that another one wrote it. A probe with
# a PUT says nothing about completions, and one with a completion nothing about PUTs.
. "$(dirname "$0")/common.sh"

debian_root swift-proxy=2.30.1-0+deb12u3 swift-account=2.30.1-0+deb12u3 \
  swift-container=2.30.1-0+deb12u3 swift-object=2.30.1-0+deb12u3 memcached
start_swift
echo hello >"$work/object"
new='If-None-Match: *'
seen 'PUT, only if none is there' 501 \
  "$(s3 PUT /bucket/short --upload-file "$work/object" --header "$new")"
seen 'PUT without a condition' 200 "$(s3 PUT /bucket/short --upload-file "$work/object")"
s3 POST '/bucket/long?uploads=' >/dev/null
upload=$(element UploadId)
s3 PUT "/bucket/long?partNumber=1&uploadId=$upload" --upload-file "$work/object" >/dev/null
printf '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>' \
  "$(header etag)" >"$work/complete"
complete() { s3 POST "/bucket/long?uploadId=$upload" --data-binary "@$work/complete" "$@"; }
seen 'CompleteMultipartUpload, only if none is there' 200 "$(complete --header "$new")"
s3 HEAD /bucket/long >/dev/null
etag=$(header etag)
s3 POST '/bucket/long?uploads=' >/dev/null
upload=$(element UploadId)
s3 PUT "/bucket/long?partNumber=1&uploadId=$upload" --upload-file "$work/object" >/dev/null
seen 'CompleteMultipartUpload over it, only if none is there' 412 "$(complete --header "$new")"
seen 'CompleteMultipartUpload on its ETag' 412 "$(complete --header "If-Match: $etag")"
seen 'CompleteMultipartUpload without a condition' 200 "$(complete)"
