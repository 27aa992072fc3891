#!/usr/bin/env bash
# OpenStack Swift 2.30.1, its S3 API: PutObjectRetention and PutObjectLegalHold answer 200 and
# replace the content of the object by their XML. A PUT with the headers of a lock answers 200 as
# well, and DELETE deletes the object at once.
#
# The S3 reference: a lock in mode COMPLIANCE prevents a deletion before its date, and a store that has none
# says InvalidRequest or NotImplemented. A backup that locks what it stored destroys it here with a
# success; tags and ACLs, in the same form, are refused with 501.
. "$(dirname "$0")/common.sh"

debian_root "${swift_packages[@]}"
boto_install "$work/boto"
start_swift
with_boto >"$work/told" <<'END'
lock = {"Mode": "COMPLIANCE", "RetainUntilDate": "2099-01-01T00:00:00Z"}
s3.put_object(Bucket="bucket", Key="object", Body=b"content")
print(code("put_object_retention", Key="object", Retention=lock))
print("content" if content("object") == b"content" else "XML")
s3.put_object(Bucket="bucket", Key="object", Body=b"content")
print(code("put_object_legal_hold", Key="object", LegalHold={"Status": "ON"}))
print("content" if content("object") == b"content" else "XML")
print(code("put_object", Key="locked", Body=b"content", ObjectLockMode=lock["Mode"],
    ObjectLockRetainUntilDate=lock["RetainUntilDate"]))
print(code("delete_object", Key="locked"))
print(code("head_object", Key="locked"))
print(code("put_object_tagging", Key="object", Tagging={"TagSet": []}))
END
line() { sed -n "$1p" "$work/told"; }
seen 'PutObjectRetention' 200 "$(line 1)"
seen 'what the object has' XML "$(line 2)"
seen 'PutObjectLegalHold' 200 "$(line 3)"
seen 'what the object has' XML "$(line 4)"
seen 'PutObject with a lock until 2099' 200 "$(line 5)"
seen 'DeleteObject' 204 "$(line 6)"
seen 'the object' '404 404' "$(line 7)"
seen 'PutObjectTagging' '501 NotImplemented' "$(line 8)"
