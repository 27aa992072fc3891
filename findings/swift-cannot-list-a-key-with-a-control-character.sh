#!/usr/bin/env bash
# OpenStack Swift 2.30.1, its S3 API: one object whose key has a control character makes each
# listing that meets it fail with 500, unless encoding-type=url is asked for.
#
# S3 takes such keys (they are legal in names of files), and its listings name them by a
# reference; the reference of ListObjectsV2 advises encoding-type=url for what XML 1.0 cannot
# hold. A page of a thousand keys is lost for one: a tool without it cannot list, prune or check
# the bucket any more.
. "$(dirname "$0")/common.sh"

debian_root "${swift_packages[@]}"
boto_install "$work/boto"
start_swift
with_boto >"$work/told" <<'END'
for key in "a", "b\x01", "c":
    print(code("put_object", Key=key, Body=b"content"))
# boto3 asks for encoding-type=url by itself; this takes it out again.
def plain(params, **_):
    params.pop("EncodingType", None)
print(" ".join(repr(o["Key"]) for o in s3.list_objects_v2(Bucket="bucket")["Contents"]))
s3.meta.events.register_last("before-parameter-build.s3.ListObjectsV2", plain)
print(code("list_objects_v2"))
print(code("list_objects_v2", MaxKeys=1))
END
seen 'PUT of the three keys' '200 200 200' "$(sed -n 1,3p "$work/told" | paste -sd ' ')"
seen 'listing with encoding-type=url' "'a' 'b\\x01' 'c'" "$(sed -n 4p "$work/told")"
seen 'listing without' '500 InternalError' "$(sed -n 5p "$work/told")"
seen 'listing without, of the first key alone' 200 "$(sed -n 6p "$work/told")"
