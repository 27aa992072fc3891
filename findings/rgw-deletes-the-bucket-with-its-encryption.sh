#!/usr/bin/env bash
# Ceph RGW 16.2.15: DeleteBucketEncryption, DeleteBucketOwnershipControls and the deletion of an
# analytics or inventory configuration delete the bucket, if it is empty, with 204.
# GetBucketEncryption answers 200 with a listing, GetObjectAttributes with the content of the
# object.
#
# The S3 reference names these by a query parameter; what a server does not know is expected to be refused
# (501), as most servers do. RGW leaves the parameter out of account. A script that tidies the settings
# of a bucket before its first use removes it, and a client that asks for the size and checksum of an object
# loads it whole. (SeaweedFS 4.48 and Swift 2.30.1 delete the bucket in the same way, by other settings.)
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
echo content >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
seen 'GetBucketEncryption' 200 "$(s3 GET '/bucket?encryption=')"
seen 'a key in its answer' object "$(element Key)"
seen 'GetObjectAttributes' 200 \
  "$(s3 GET '/bucket/object?attributes=' --header 'x-amz-object-attributes: ObjectSize')"
seen 'its answer' content "$(cat "$work/body")"
for setting in encryption= ownershipControls= analytics=\&id=a id=a\&inventory=; do
  s3 PUT /second >/dev/null
  seen "DELETE ?$setting" 204 "$(s3 DELETE "/second?$setting")"
  seen 'the bucket' 404 "$(s3 HEAD /second)"
done
