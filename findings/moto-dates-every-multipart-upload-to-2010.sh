#!/usr/bin/env bash
# moto 5.2.5: ListMultipartUploads tells 2010-11-10 as the beginning of every upload.
#
# The S3 reference: Initiated is when the upload was begun. A sweeper that aborts what is older
# than some days aborts in tests the upload that runs; one that has a bug in just this passes
# there.
. "$(dirname "$0")/common.sh"

start_moto
seen 'CreateMultipartUpload' 200 "$(s3 POST '/bucket/object?uploads=')"
s3 GET '/bucket?uploads=' >/dev/null
seen 'Initiated' 2010-11-10T20:48:33.000Z "$(element Initiated)"
