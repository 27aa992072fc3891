#!/usr/bin/env bash
# OpenStack Swift 2.30.1, its S3 API, and boto3 1.44.8: an object of two parts is not copied if
# its ETag is asked to be the one that HEAD tells; GET with the same condition is served. An
# object of one part is copied.
#
# The S3 reference: x-amz-copy-source-if-match copies if the entity tag matches. Behind an object of parts lies
# a manifest, and the condition seems to meet that. boto3 sends this condition with each copy of its own
# accord, so that `copy()` of whatever is longer than 8 MiB fails with "Contents of stored object … did
# not match expected ETag", though no client changed it.
. "$(dirname "$0")/common.sh"

debian_root "${swift_packages[@]}"
boto_install "$work/boto"
start_swift
with_boto >"$work/told" <<'END'
s3.put_object(Bucket="bucket", Key="one", Body=b"content")
s3.upload_fileobj(io.BytesIO(b"x" * (9 << 20)), "bucket", "two")
for key in "one", "two":
    etag = s3.head_object(Bucket="bucket", Key=key)["ETag"]
    print(code("get_object", Key=key, IfMatch=etag))
    print(code("copy_object", Key="copy-of-" + key, CopySource="bucket/" + key, CopySourceIfMatch=etag))
    print(code("copy_object", Key="copy-of-" + key, CopySource="bucket/" + key))
try:
    s3.copy({"Bucket": "bucket", "Key": "two"}, "bucket", "copied")
    print("copied")
except Exception as e:
    print(type(e).__name__)
END
line() { sed -n "$1p" "$work/told"; }
seen 'one part: GET if it is the ETag' 200 "$(line 1)"
seen 'one part: CopyObject if it is the ETag' 200 "$(line 2)"
seen 'two parts: GET if it is the ETag' 200 "$(line 4)"
seen 'two parts: CopyObject if it is the ETag' '412 PreconditionFailed' "$(line 5)"
seen 'two parts: CopyObject' 200 "$(line 6)"
seen 'two parts: copy() of boto3' S3CopyFailedError "$(line 7)"
