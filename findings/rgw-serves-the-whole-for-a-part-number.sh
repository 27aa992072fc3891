#!/usr/bin/env bash
# Ceph RGW 16.2.15: GET and HEAD with partNumber=2 of an object of two parts answer 200 with the
# whole and no word of parts.
#
# The S3 reference: partNumber "effectively performs a ranged GET", 206, with
# x-amz-mp-parts-count. Clients that load an object part by part, as the transfer managers of some
# SDKs do, put the whole in the place of each part; only the status, or the length, tells. rclone
# 1.75.2 answers the same, Swift 2.30.1 says 405.
. "$(dirname "$0")/common.sh"

debian_root radosgw=16.2.15+ds-0+deb12u2 ceph-mon=16.2.15+ds-0+deb12u2 \
  ceph-osd=16.2.15+ds-0+deb12u2
start_rgw
head -c 5242880 /dev/zero >"$work/first"
echo tail >"$work/last"
s3 POST '/bucket/object?uploads=' >/dev/null
id=$(element UploadId) parts=''
for n in 1:first 2:last; do
  s3 PUT "/bucket/object?partNumber=${n%:*}&uploadId=$id" --upload-file "$work/${n#*:}" >/dev/null
  parts+="<Part><PartNumber>${n%:*}</PartNumber><ETag>$(header etag)</ETag></Part>"
done
seen 'CompleteMultipartUpload' 200 "$(s3 POST "/bucket/object?uploadId=$id" \
  --data-binary "<CompleteMultipartUpload>$parts</CompleteMultipartUpload>")"
seen 'GET of part 2' 200 "$(s3 GET '/bucket/object?partNumber=2')"
seen 'bytes of it, which should be 5' 5242885 "$(wc -c <"$work/body")"
seen 'number of parts that it tells' '' "$(header x-amz-mp-parts-count)"
